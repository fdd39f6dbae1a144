"""Section 2: the nodes. Inputs are distances back, names share their beginning with the name before."""

from model_store.errors import MalformedBundle, UnsupportedBundle
from model_store.graph import Graph, Node
from model_store.limits import MAX_ATTRIBUTE, MAX_NAME_LENGTH, MAX_NODES, MAX_TENSORS
from model_store.operators import OPERATOR_BY_CODE, OPERATORS, Operator
from model_store.wire import Reader, Writer


def write_graph(graph: Graph) -> bytes:
    writer = Writer().varint(len(graph.nodes))
    previous = ""
    for index, node in enumerate(graph.nodes):
        operator = OPERATORS[node.operator]
        writer.byte(operator.code)
        if operator.values[0] != operator.values[1]:
            writer.varint(len(node.values))
        for value in node.values:
            writer.varint(index - value)
        _write_attributes(writer, node, operator)
        if operator.tensors:
            writer.varint(len(node.tensors))
            for tensor in node.tensors:
                writer.varint(tensor)
            shared = _shared_characters(previous, node.name)
            writer.varint(shared).varint(len(node.name) - shared).raw(node.name[shared:].encode())
            previous = node.name
    return writer.done()


def read_graph(reader: Reader) -> Graph:
    nodes: list[Node] = []
    previous = ""
    for index in range(reader.varint("number of nodes", 1, MAX_NODES)):
        code = reader.byte(f"operator of node {index}")
        if code not in OPERATOR_BY_CODE:
            raise UnsupportedBundle(f"{reader.place}: operator {code} of node {index}, must be a known one")
        operator = OPERATOR_BY_CODE[code]
        low, high = operator.values
        inputs = low if low == high else reader.varint(f"inputs of node {index}", low, high)
        values = tuple(index - reader.varint(f"an input of node {index}", 0, index) for _ in range(inputs))
        attributes = _read_attributes(reader, operator, index)
        tensors: tuple[int, ...] = ()
        name = ""
        if operator.tensors:
            count = reader.varint(f"tensors of node {index}", 0, len(operator.tensors))
            tensors = tuple(reader.varint(f"a tensor of node {index}", 0, MAX_TENSORS - 1) for _ in range(count))
            name = previous = _read_name(reader, previous, index)
        nodes.append(Node(operator.name, values, tensors, attributes, name))
    reader.finish()
    return Graph(tuple(nodes))


def _write_attributes(writer: Writer, node: Node, operator: Operator) -> None:
    for name, _ in operator.attributes:
        for value in node.attributes[name]:
            if name == "bounds":
                writer.float32(value)
            else:
                writer.varint(int(value))


def _read_attributes(reader: Reader, operator: Operator, index: int) -> dict[str, tuple[float, ...]]:
    attributes: dict[str, tuple[float, ...]] = {}
    for name, length in operator.attributes:
        field = f"{name} of node {index}"
        if name == "bounds":
            attributes[name] = tuple(reader.float32(field) for _ in range(length))
        else:
            attributes[name] = reader.small_varints(field, length, MAX_ATTRIBUTE)
    return attributes


def _shared_characters(first: str, second: str) -> int:
    """How long their common beginning is."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))


def _read_name(reader: Reader, previous: str, index: int) -> str:
    shared = reader.varint(f"shared name of node {index}", 0, len(previous))
    raw = reader.take(reader.varint(f"name length of node {index}", 0, MAX_NAME_LENGTH), f"name of node {index}")
    try:
        name = previous[:shared] + raw.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedBundle(f"{reader.place}: name of node {index} is not ASCII") from None
    if shared < min(len(previous), len(name)) and previous[shared] == name[shared]:
        raise MalformedBundle(f"{reader.place}: name of node {index} shares more than {shared} characters, must say so")
    return name
