"""Sections 5 and 6: what each tensor is, and its bytes in the payload."""

from dataclasses import dataclass

from model_store.adaptive import STATE_BYTES
from model_store.affine import affine_bytes
from model_store.coded import CodedBundle, CodedCodes, CodedContexts, CodedFloat, CodedSparse, CodedTensor, Layout
from model_store.errors import BundleTooLarge, MalformedBundle, UnsupportedBundle
from model_store.lanes import CodedStream, lane_counts, payload_size
from model_store.limits import (
    MAX_ALPHABET,
    MAX_BUNDLE_BYTES,
    MAX_CODE_LENGTH,
    MAX_DIMENSION,
    MAX_LANE_LOG2,
    MAX_RANK,
    MAX_TABLES,
    MAX_TENSORS,
    MIN_LANE_LOG2,
)
from model_store.tensors import check_shape
from model_store.wire import Reader, Writer


@dataclass(frozen=True, slots=True)
class TensorFields:
    """One tensor's part of section 5: the description, and each stream's fields, to be accounted apart."""

    description: bytes
    gaps: bytes
    values: bytes

    def parts(self) -> tuple[bytes, ...]:
        return (self.description, self.gaps, self.values)


@dataclass(frozen=True, slots=True)
class Section:
    """Section 5: the head (lane size, number of tensors) and the tensors."""

    head: bytes
    descriptions: tuple[TensorFields, ...]


def write_tensors(bundle: CodedBundle) -> Section:
    head = Writer().byte(bundle.lane_log2).varint(len(bundle.tensors)).done()
    return Section(head, tuple(_write_tensor(tensor) for tensor in bundle.tensors))


def _write_tensor(tensor: CodedTensor) -> TensorFields:
    writer = Writer().byte(tensor.layout).varint(len(tensor.shape))
    for side in tensor.shape:
        writer.varint(side)
    if isinstance(tensor, CodedFloat):
        return TensorFields(writer.done(), b"", b"")
    writer.varint(tensor.codebook)
    if isinstance(tensor, CodedCodes):
        return TensorFields(writer.done(), b"", _write_stream(tensor.values))
    if isinstance(tensor, CodedContexts):
        sizes = (Writer().varint(len(stream)).done() for stream in (tensor.mask, tensor.values))
        return TensorFields(writer.done(), *sizes)
    writer.varint(tensor.gap_limit).varint(tensor.values.count)
    gaps = Writer().varint(tensor.gaps.count).raw(_write_stream(tensor.gaps)).done()
    return TensorFields(writer.done(), gaps, _write_stream(tensor.values))


def _write_stream(stream: CodedStream) -> bytes:
    if not stream.count:
        return b""
    writer = Writer().varint(stream.table)
    for bits in stream.lane_bits:
        writer.varint(bits)
    return writer.done()


def read_tensors(reader: Reader, payload: Reader) -> tuple[int, tuple[CodedTensor, ...]]:
    """(lane_log2, tensors); the payload is consumed exactly."""
    lane_log2 = reader.byte("lane_log2")
    if not MIN_LANE_LOG2 <= lane_log2 <= MAX_LANE_LOG2:
        raise MalformedBundle(f"{reader.place}: lane_log2 = {lane_log2}, must be in {MIN_LANE_LOG2}..{MAX_LANE_LOG2}")
    count = reader.varint("number of tensors", 0, MAX_TENSORS)
    tensors = tuple(_read_tensor(reader, payload, lane_log2, number) for number in range(count))
    reader.finish()
    payload.finish()
    return lane_log2, tensors


_LAYOUTS = frozenset(Layout)


def _read_tensor(reader: Reader, payload: Reader, lane_log2: int, number: int) -> CodedTensor:
    code = reader.byte(f"layout of tensor {number}")
    if code not in _LAYOUTS:
        raise UnsupportedBundle(f"{reader.place}: layout {code} of tensor {number}, must be 0..{max(Layout)}")
    layout = Layout(code)
    rank = reader.varint(f"rank of tensor {number}", 1, MAX_RANK)
    shape = tuple(reader.varint(f"side {axis} of tensor {number}", 1, MAX_DIMENSION) for axis in range(rank))
    elements = check_shape(shape, f"{reader.place}: tensor {number}")
    if layout is Layout.FLOAT16:
        return CodedFloat(shape, payload.take(2 * elements, f"tensor {number}"))
    if layout is Layout.AFFINE8:
        return CodedFloat(shape, payload.take(affine_bytes(elements), f"tensor {number}"), layout)
    if rank < 2:
        raise MalformedBundle(
            f"{reader.place}: tensor {number} of rank 1 in layout {layout.name}, must be FLOAT16 or AFFINE8"
        )
    codebook = reader.varint(f"codebook of tensor {number}", 0, MAX_TENSORS - 1)
    if layout is Layout.CONTEXTS:
        return _read_contexts(reader, payload, number, shape, codebook)
    streams = _StreamReader(reader, payload, lane_log2)
    if layout is Layout.CODES:
        return CodedCodes(shape, codebook, streams.read(elements, f"values of tensor {number}"))
    gap_limit = reader.varint(f"gap_limit of tensor {number}", 1, MAX_ALPHABET - 1)
    nonzeros = reader.varint(f"non-zeros of tensor {number}", 0, elements)
    symbols = reader.varint(f"gap symbols of tensor {number}", nonzeros, nonzeros + elements // gap_limit)
    gaps = streams.read(symbols, f"gaps of tensor {number}")
    values = streams.read(nonzeros, f"values of tensor {number}")
    return CodedSparse(layout, shape, codebook, gap_limit, gaps, values)


def _read_contexts(
    reader: Reader, payload: Reader, number: int, shape: tuple[int, ...], codebook: int
) -> CodedContexts:
    mask_bytes = reader.varint(f"mask bytes of tensor {number}", STATE_BYTES, MAX_BUNDLE_BYTES)
    value_bytes = reader.varint(f"value bytes of tensor {number}", 0, MAX_BUNDLE_BYTES)
    mask = payload.take(mask_bytes, f"mask of tensor {number}")
    return CodedContexts(shape, codebook, mask, payload.take(value_bytes, f"values of tensor {number}"))


@dataclass(frozen=True, slots=True)
class _StreamReader:
    """Reads the fields of streams and takes their bytes from the payload, in file order."""

    reader: Reader
    payload: Reader
    lane_log2: int

    def read(self, count: int, place: str) -> CodedStream:
        """A stream of `count` symbols; none at all has no fields and names table 0 for nothing."""
        if not count:
            return CodedStream(NO_TABLE, 0, (), b"")
        if count > 8 * self.payload.remaining:
            raise BundleTooLarge(f"{place}: {count} symbols, must be <= {8 * self.payload.remaining}, the bits left")
        table = self.reader.varint(f"table of {place}", 0, MAX_TABLES - 1)
        counts = lane_counts(count, self.lane_log2).tolist()
        if len(counts) > self.reader.remaining:
            raise MalformedBundle(f"{place}: {len(counts)} lanes, must fit {self.reader.remaining} bytes")
        bounds = [(count, MAX_CODE_LENGTH * count) for count in counts]
        lane_bits = self.reader.varints(f"a lane of {place}", bounds)
        return CodedStream(table, count, lane_bits, self.payload.take(payload_size(lane_bits), place))


NO_TABLE = -1  # the table of a stream without symbols
