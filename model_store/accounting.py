"""Which byte of a bundle is what: every one belongs to a section, a layer (or none) and a kind."""

from collections.abc import Iterator
from dataclasses import dataclass

from model_store.coded import CodedBundle, CodedCodes, CodedContexts, CodedFloat, CodedTensor, CodedVectors
from model_store.errors import MalformedBundle
from model_store.provenance import encode_provenance
from model_store.sections.codebooks import write_codebooks
from model_store.sections.graph import write_graph
from model_store.sections.identity import write_identity
from model_store.sections.tables import write_tables
from model_store.sections.tensors import TensorFields, write_tensors
from model_store.serialization import DIGEST_BYTES, PREFIX, parse
from model_store.wire import Writer

KINDS = (
    "indices",
    "values",
    "tables",
    "codebooks",
    "scale and bias",
    "dense",
    "descriptions",
    "graph",
    "header",
    "provenance",
    "digest",
)


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes of one kind in one section for one layer ("" for what all layers share)."""

    section: str
    layer: str
    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Accounting:
    """The whole file, row by row; the rows' sizes add up to it."""

    rows: tuple[Row, ...]

    @property
    def size_bytes(self) -> int:
        return sum(row.size_bytes for row in self.rows)

    def by_kind(self) -> dict[str, int]:
        """kind -> bytes, in the order of `KINDS`, absent kinds left out."""
        totals = {kind: sum(row.size_bytes for row in self.rows if row.kind == kind) for kind in KINDS}
        return {kind: size for kind, size in totals.items() if size}

    def by_layer(self) -> dict[str, dict[str, int]]:
        """layer -> kind -> bytes, in file order; "" holds what all layers share."""
        layers: dict[str, dict[str, int]] = {}
        for row in self.rows:
            kinds = layers.setdefault(row.layer, {})
            kinds[row.kind] = kinds.get(row.kind, 0) + row.size_bytes
        return layers


def account(data: bytes) -> Accounting:
    """Attribute every byte of a bundle.

    Raises:
        BundleError: it is not a bundle.
    """
    coded = parse(data)
    rows = [row for row in _rows(coded) if row.size_bytes]
    accounting = Accounting(tuple(rows))
    if accounting.size_bytes != len(data):
        raise MalformedBundle(f"bundle: {accounting.size_bytes} bytes accounted for, must be {len(data)}")
    return accounting


def _rows(coded: CodedBundle) -> Iterator[Row]:
    sections = {
        "identity": [Row("identity", "", "header", len(write_identity(coded.identity)))],
        "graph": [Row("graph", "", "graph", len(write_graph(coded.graph)))],
        "tables": [Row("tables", "", "tables", len(part)) for part in write_tables(coded.tables)],
        "codebooks": [Row("codebooks", "", "codebooks", len(part)) for part in write_codebooks(coded.codebooks)],
        "tensors": list(_tensor_rows(coded)),
        "payload": list(_payload_rows(coded)),
        "provenance": [Row("provenance", "", "provenance", len(encode_provenance(coded.provenance)))],
    }
    yield Row("prefix", "", "header", len(PREFIX))
    for section, rows in sections.items():
        size = sum(row.size_bytes for row in rows)
        yield Row(section, "", "header", len(Writer().byte(0).varint(size).done()))
        yield from rows
    yield Row("digest", "", "digest", DIGEST_BYTES)


def _tensor_rows(coded: CodedBundle) -> Iterator[Row]:
    section = write_tensors(coded)
    yield Row("tensors", "", "header", len(section.head))
    layers = _layer_of_tensor(coded)
    for index, (tensor, fields) in enumerate(zip(coded.tensors, section.descriptions, strict=True)):
        yield from _field_rows(layers[index], tensor, fields)


def _field_rows(layer: str, tensor: CodedTensor, fields: TensorFields) -> Iterator[Row]:
    yield Row("tensors", layer, "descriptions", len(fields.description))
    yield Row("tensors", layer, "indices", len(fields.gaps))
    yield Row("tensors", layer, "values", len(fields.values))


def _payload_rows(coded: CodedBundle) -> Iterator[Row]:
    layers = _layer_of_tensor(coded)
    weights = {index for node in coded.graph.nodes for role, index in node.tensor_roles() if role == "weight"}
    for index, tensor in enumerate(coded.tensors):
        if isinstance(tensor, CodedFloat):
            kind = "dense" if index in weights else "scale and bias"
            yield Row("payload", layers[index], kind, len(tensor.payload))
        elif isinstance(tensor, CodedCodes):
            yield Row("payload", layers[index], "values", len(tensor.values.payload))
        elif isinstance(tensor, CodedContexts):
            yield Row("payload", layers[index], "indices", len(tensor.mask))
            yield Row("payload", layers[index], "values", len(tensor.values))
        elif isinstance(tensor, CodedVectors):
            yield Row("payload", layers[index], "codebooks", sum(len(stage.codewords) for stage in tensor.stages))
            yield Row("payload", layers[index], "values", sum(len(stage.values.payload) for stage in tensor.stages))
        else:
            yield Row("payload", layers[index], "indices", len(tensor.gaps.payload))
            yield Row("payload", layers[index], "values", len(tensor.values.payload))


def _layer_of_tensor(coded: CodedBundle) -> dict[int, str]:
    return {index: name.rpartition(".")[0] for index, name in coded.graph.tensor_names().items()}
