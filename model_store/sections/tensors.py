"""Sections 5 and 6: what each tensor is, and its bytes in the payload."""

from dataclasses import dataclass

from model_store.adaptive import STATE_BYTES
from model_store.affine import affine_bytes
from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    CodedTensor,
    CodedVectors,
    Layout,
)
from model_store.errors import MalformedBundle, UnsupportedBundle
from model_store.limits import (
    MAX_ALPHABET,
    MAX_BUNDLE_BYTES,
    MAX_DIMENSION,
    MAX_LANE_LOG2,
    MAX_RANK,
    MAX_TENSORS,
    MIN_LANE_LOG2,
)
from model_store.sections.streams import StreamReader, write_stream
from model_store.sections.vectors import VectorBooks, write_vectors
from model_store.shape_limits import check_shape
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
    if isinstance(tensor, CodedVectors):
        return TensorFields(write_vectors(writer, tensor), b"", b"".join(write_stream(s.values) for s in tensor.stages))
    writer.varint(tensor.codebook)
    if isinstance(tensor, CodedCodes):
        return TensorFields(writer.done(), b"", write_stream(tensor.values))
    if isinstance(tensor, CodedContexts):
        sizes = (Writer().varint(len(stream)).done() for stream in (tensor.mask, tensor.values))
        return TensorFields(writer.done(), *sizes)
    writer.varint(tensor.gap_limit).varint(tensor.values.count)
    gaps = Writer().varint(tensor.gaps.count).raw(write_stream(tensor.gaps)).done()
    return TensorFields(writer.done(), gaps, write_stream(tensor.values))


def read_tensors(reader: Reader, payload: Reader) -> tuple[int, tuple[CodedTensor, ...]]:
    """(lane_log2, tensors); the payload is consumed exactly."""
    lane_log2 = reader.byte("lane_log2")
    if not MIN_LANE_LOG2 <= lane_log2 <= MAX_LANE_LOG2:
        raise MalformedBundle(f"{reader.place}: lane_log2 = {lane_log2}, must be in {MIN_LANE_LOG2}..{MAX_LANE_LOG2}")
    count = reader.varint("number of tensors", 0, MAX_TENSORS)
    books = VectorBooks()
    tensors = tuple(_read_tensor(reader, payload, lane_log2, number, books) for number in range(count))
    reader.finish()
    payload.finish()
    return lane_log2, tensors


_LAYOUTS = tuple(Layout)  # of their codes, 0 and on


def _read_tensor(reader: Reader, payload: Reader, lane_log2: int, number: int, books: VectorBooks) -> CodedTensor:
    code = reader.byte(f"layout of tensor {number}")
    if code >= len(_LAYOUTS):
        raise UnsupportedBundle(f"{reader.place}: layout {code} of tensor {number}, must be 0..{max(Layout)}")
    layout = _LAYOUTS[code]
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
    streams = StreamReader(reader, payload, lane_log2)
    if layout is Layout.VECTORS:
        return books.read(streams, number, shape)
    codebook = reader.varint(f"codebook of tensor {number}", 0, MAX_TENSORS - 1)
    if layout is Layout.CONTEXTS:
        return _read_contexts(reader, payload, number, shape, codebook)
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
