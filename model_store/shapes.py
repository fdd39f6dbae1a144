"""The shape of every value of a graph, and the multiply-adds it costs: all fixed before anything runs."""

import math
import struct
from collections.abc import Callable, Sequence

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.graph import Graph, Node
from model_store.limits import MAX_ACTIVATION_ELEMENTS, MAX_ATTRIBUTE, MAX_MULTIPLY_ADDS
from model_store.wire import MAX_FLOAT32

Shape = tuple[int, ...]


def infer_shapes(graph: Graph, tensor_shapes: Sequence[Shape], input_shape: Shape) -> tuple[Shape, ...]:
    """Shapes without the batch dimension: [0] is the input's, [i + 1] that of node i's value.

    Raises:
        MalformedBundle: a node does not fit its inputs, tensors or attributes.
        BundleTooLarge: the activations alive together, or all multiply-adds, pass their limit.
    """
    given = (tuple(tensor_shapes), input_shape)
    if given not in graph.inferred:
        graph.inferred.clear()
        graph.inferred[given] = tuple(_infer(graph, tensor_shapes, input_shape))
    return graph.inferred[given]


def _infer(graph: Graph, tensor_shapes: Sequence[Shape], input_shape: Shape) -> list[Shape]:
    shapes = [input_shape]
    frees = _last_reads(graph)
    alive = math.prod(input_shape)
    multiply_adds = 0
    for index, node in enumerate(graph.nodes):
        place = f"node {index} ({node.operator} {node.name})" if node.name else f"node {index} ({node.operator})"
        _check_attributes(node, place)
        inputs = [shapes[value] for value in node.values]
        for tensor in node.tensors:
            if not 0 <= tensor < len(tensor_shapes):
                raise MalformedBundle(f"{place}: tensor {tensor}, must be in 0..{len(tensor_shapes) - 1}")
        tensors = {role: tensor_shapes[tensor] for role, tensor in node.tensor_roles()}
        shape = _RULES[node.operator](node, inputs, tensors, place)
        alive += math.prod(shape)
        if alive > MAX_ACTIVATION_ELEMENTS:
            raise BundleTooLarge(f"{place}: {alive} activations alive at once, must be <= {MAX_ACTIVATION_ELEMENTS}")
        multiply_adds += _multiply_adds(node, shape, tensors)
        if multiply_adds > MAX_MULTIPLY_ADDS:
            raise BundleTooLarge(f"{place}: {multiply_adds} multiply-adds, must be <= {MAX_MULTIPLY_ADDS}")
        shapes.append(shape)
        alive -= sum(math.prod(shapes[value]) for value in frees[index])
    return shapes


def _last_reads(graph: Graph) -> list[list[int]]:
    """For each node, the values that no later node reads."""
    last = {value: index for index, node in enumerate(graph.nodes) for value in node.values}
    frees: list[list[int]] = [[] for _ in graph.nodes]
    for value, index in last.items():
        frees[index].append(value)
    return frees


def _multiply_adds(node: Node, shape: Shape, tensors: dict[str, Shape]) -> int:
    """What a node costs against the limit; a pooling window costs as much as a filter of its size."""
    if "weight" in tensors:
        return multiply_adds_per_weight(shape) * math.prod(tensors["weight"])
    return math.prod(shape) * math.prod(node.ints("kernel_shape")) if "kernel_shape" in node.attributes else 0


def multiply_adds_per_weight(output_shape: Shape) -> int:
    """How often each weight of a Conv or Gemm is used for one picture: once per output pixel (padding counted)."""
    return math.prod(output_shape[1:])


def count_multiply_adds(graph: Graph, shapes: Sequence[Shape], weights: Sequence[int]) -> int:
    """Multiply-adds of one picture, where `weights[t]` of tensor t's elements take part (all, or the non-zeros)."""
    total = 0
    for index, node in enumerate(graph.nodes):
        roles = dict(node.tensor_roles())
        if "weight" in roles:
            total += multiply_adds_per_weight(shapes[index + 1]) * weights[roles["weight"]]
    return total


_POSITIVE = frozenset({"strides", "dilations", "group", "kernel_shape", "steps"})


def _check_attributes(node: Node, place: str) -> None:
    for name, values in node.attributes.items():
        if name == "bounds":
            _check_bounds(values, place)
            continue
        low = 1 if name in _POSITIVE else 0
        if not all(isinstance(value, int) for value in values) or min(values) < low or max(values) > MAX_ATTRIBUTE:
            raise MalformedBundle(f"{place}: {name} = {values}, must be integers in {low}..{MAX_ATTRIBUTE}")


def _check_bounds(bounds: tuple[float, ...], place: str) -> None:
    if not all(abs(bound) <= MAX_FLOAT32 for bound in bounds):
        raise MalformedBundle(f"{place}: bounds {bounds}, must be finite in float32")
    low, high = (struct.unpack("<f", struct.pack("<f", bound)) for bound in bounds)
    if not low < high:
        raise MalformedBundle(f"{place}: bounds {bounds}, must rise")


def _map_of(shape: Shape, place: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise MalformedBundle(f"{place}: input of shape {shape}, must be (channels, height, width)")
    return (shape[0], shape[1], shape[2])


def _window(size: int, kernel: int, stride: int, pads: int, place: str) -> int:
    if kernel > size + pads:
        raise MalformedBundle(f"{place}: kernel {kernel}, must be <= padded input {size + pads}")
    return (size + pads - kernel) // stride + 1


def _windows(shape: Shape, kernel: Sequence[int], node: Node, place: str) -> tuple[int, int]:
    _, height, width = _map_of(shape, place)
    top, left, bottom, right = node.ints("pads")
    strides = node.ints("strides")
    return (
        _window(height, kernel[0], strides[0], top + bottom, place),
        _window(width, kernel[1], strides[1], left + right, place),
    )


def _vector(tensors: dict[str, Shape], role: str, length: int, place: str) -> None:
    if role in tensors and tensors[role] != (length,):
        raise MalformedBundle(f"{place}: {role} of shape {tensors[role]}, must be ({length},)")


def _conv(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    channels = _map_of(inputs[0], place)[0]
    weight = tensors["weight"]
    (group,) = node.ints("group")
    if len(weight) != 4 or weight[1] * group != channels or weight[0] % group:
        raise MalformedBundle(f"{place}: weight {weight} in {group} groups does not fit {channels} channels")
    _vector(tensors, "bias", weight[0], place)
    kernel = [(side - 1) * dilation + 1 for side, dilation in zip(weight[2:], node.ints("dilations"), strict=True)]
    return (weight[0], *_windows(inputs[0], kernel, node, place))


def _gemm(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    weight = tensors["weight"]
    if len(weight) != 2 or inputs[0] != (weight[1],):
        raise MalformedBundle(f"{place}: weight {weight} does not fit input {inputs[0]}")
    _vector(tensors, "bias", weight[0], place)
    return (weight[0],)


def _normalization(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    for role in ("scale", "bias"):
        _vector(tensors, role, inputs[0][0], place)
    return inputs[0]


def _same(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    return inputs[0]


def _broadcast(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    first, second = inputs
    if len(first) != len(second) or any(a != b and 1 not in (a, b) for a, b in zip(first, second, strict=True)):
        raise MalformedBundle(f"{place}: inputs {first} and {second} cannot be broadcast")
    return tuple(max(a, b) for a, b in zip(first, second, strict=True))


def _pool(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    kernel, pads = node.ints("kernel_shape"), node.ints("pads")
    if max(pads[0], pads[2]) >= kernel[0] or max(pads[1], pads[3]) >= kernel[1]:
        raise MalformedBundle(f"{place}: pads {pads}, must be smaller than the kernel {kernel}")
    if node.operator == "AveragePool" and node.ints("count_include_pad")[0] > 1:
        raise MalformedBundle(f"{place}: count_include_pad {node.ints('count_include_pad')[0]}, must be 0 or 1")
    return (inputs[0][0], *_windows(inputs[0], kernel, node, place))


def _global_pool(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    return (_map_of(inputs[0], place)[0], 1, 1)


def _flatten(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    return (math.prod(inputs[0]),)


def _concat(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    if any(shape[1:] != inputs[0][1:] or len(shape) != len(inputs[0]) for shape in inputs):
        raise MalformedBundle(f"{place}: inputs {inputs}, must differ in channels only")
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


def _pad(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    pads = node.ints("pads")
    return tuple(side + pads[axis] + pads[axis + 3] for axis, side in enumerate(_map_of(inputs[0], place)))


def _slice(node: Node, inputs: list[Shape], tensors: dict[str, Shape], place: str) -> Shape:
    sides = _map_of(inputs[0], place)
    starts, ends, steps = node.ints("starts"), node.ints("ends"), node.ints("steps")
    for side, start, end in zip(sides, starts, ends, strict=True):
        if not start < end <= side:
            raise MalformedBundle(f"{place}: slice {start}..{end}, must rise within 0..{side}")
    return tuple(len(range(*bounds)) for bounds in zip(starts, ends, steps, strict=True))


_RULES: dict[str, Callable[[Node, list[Shape], dict[str, Shape], str], Shape]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "BatchNormalization": _normalization,
    "Relu": _same,
    "Clip": _same,
    "Sigmoid": _same,
    "Add": _broadcast,
    "Mul": _broadcast,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "Flatten": _flatten,
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
}
