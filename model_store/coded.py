"""A bundle as it stands in the file: tables, codebooks and coded streams, one object for every field.

`serialization` maps these to bytes and back, one to one; `encoder` makes them from tensors, `decoder` tensors of them.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.graph import Graph
from model_store.huffman import HuffmanTable
from model_store.lanes import CodedStream
from model_store.limits import (
    MAX_BITS_PER_BYTE,
    MAX_BUNDLE_ELEMENTS,
    MAX_CLASSES,
    MAX_CONTEXT_ELEMENTS,
    MAX_CONTEXT_TAPS,
    MAX_LANE_LOG2,
    MAX_TABLES,
    MIN_LANE_LOG2,
)
from model_store.preprocessing import Preprocessing
from model_store.provenance import Provenance
from model_store.vectors import check_vectors
from model_store.wire import check_text


class Layout(IntEnum):
    """How a tensor is stored."""

    FLOAT16 = 0  # plain values
    CODES = 1  # a symbol for every element: 0 is a zero, s the codebook's entry s - 1
    CSR = 2  # gaps and codes of the non-zeros, row by row
    CSC = 3  # the same, column by column
    AFFINE8 = 4  # values offset + step * code, codes of 8 bits
    CONTEXTS = 5  # adaptively coded bits: which elements are not zero, and their codes
    VECTORS = 6  # a codeword for every vector, in one stage or in several that are summed


@dataclass(frozen=True, slots=True)
class CodedFloat:
    """Values without a codebook: little-endian float16, or in 8 bits (the offset and the step, then a code each)."""

    shape: tuple[int, ...]
    payload: bytes
    layout: Layout = Layout.FLOAT16


@dataclass(frozen=True, slots=True)
class CodedCodes:
    """A stream of one symbol for every element, row-major; no index."""

    shape: tuple[int, ...]
    codebook: int
    values: CodedStream
    layout: Layout = Layout.CODES


@dataclass(frozen=True, slots=True)
class CodedSparse:
    """A stream of gaps and one of value symbols, 1..k, for the non-zeros alone."""

    layout: Layout
    shape: tuple[int, ...]
    codebook: int
    gap_limit: int
    gaps: CodedStream
    values: CodedStream


@dataclass(frozen=True, slots=True)
class CodedContexts:
    """Two arithmetic-coded streams, for the whole tensor in the order of its elements: mask and values.

    Raises:
        BundleTooLarge: a kernel has more taps, or the mask stands for more elements, than the format allows.
    """

    shape: tuple[int, ...]
    codebook: int
    mask: bytes
    values: bytes
    layout: Layout = Layout.CONTEXTS

    def __post_init__(self) -> None:
        taps, elements = math.prod(self.shape[2:]), math.prod(self.shape)
        if taps > MAX_CONTEXT_TAPS:
            raise BundleTooLarge(f"layout CONTEXTS: kernels of {taps} taps, must be <= {MAX_CONTEXT_TAPS}")
        if elements > MAX_BITS_PER_BYTE * len(self.mask):
            limit = MAX_BITS_PER_BYTE * len(self.mask)
            raise BundleTooLarge(f"layout CONTEXTS: {elements} elements, must be <= {limit} in {len(self.mask)} bytes")


@dataclass(frozen=True, slots=True)
class CodedStage:
    """A stream of one symbol for every vector: the number of its codeword.

    Attributes:
        book: of the vector codebooks, numbered by first use.
        codewords: the book's little-endian float16, row after row, where this is its first use; b"" where it is known.
    """

    book: int
    codewords: bytes
    values: CodedStream


@dataclass(frozen=True, slots=True)
class CodedVectors:
    """Vectors of `length` elements, row-major, as sums of a codeword from each stage."""

    shape: tuple[int, ...]
    length: int
    stages: tuple[CodedStage, ...]
    layout: Layout = Layout.VECTORS

    def __post_init__(self) -> None:
        check_vectors(self.shape, self.length, len(self.stages), "layout VECTORS")


CodedTensor = CodedFloat | CodedCodes | CodedSparse | CodedContexts | CodedVectors


@dataclass(frozen=True, slots=True)
class Identity:
    """What a bundle says of itself.

    Attributes:
        parameters: trainable parameters of the dense network.
        dense_bytes: bytes of its fp32 state_dict.
    """

    architecture: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    parameters: int
    dense_bytes: int

    def __post_init__(self) -> None:
        check_text(self.architecture, "identity: architecture")
        if not 1 <= len(self.class_names) <= MAX_CLASSES:
            raise BundleTooLarge(f"identity: {len(self.class_names)} classes, must be 1..{MAX_CLASSES}")
        for name in self.class_names:
            check_text(name, "identity: class name")
        if len(set(self.class_names)) != len(self.class_names):
            raise MalformedBundle("identity: two classes have the same name, must differ")
        for field, value in (("parameters", self.parameters), ("dense_bytes", self.dense_bytes)):
            if not 1 <= value < 1 << 48:
                raise BundleTooLarge(f"identity: {field} = {value}, must be in 1..{(1 << 48) - 1}")


@dataclass(frozen=True, slots=True, eq=False)
class CodedBundle:
    """Everything in the file but its magic, lengths and digest."""

    identity: Identity
    graph: Graph
    tables: tuple[HuffmanTable, ...]
    codebooks: tuple[np.ndarray, ...]
    lane_log2: int
    tensors: tuple[CodedTensor, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        if not MIN_LANE_LOG2 <= self.lane_log2 <= MAX_LANE_LOG2:
            raise MalformedBundle(f"lane_log2 = {self.lane_log2}, must be in {MIN_LANE_LOG2}..{MAX_LANE_LOG2}")
        if len(self.tables) > MAX_TABLES:
            raise BundleTooLarge(f"bundle: {len(self.tables)} Huffman tables, must be <= {MAX_TABLES}")
        elements = sum(elements_of(tensor) for tensor in self.tensors)
        if elements > MAX_BUNDLE_ELEMENTS:
            raise BundleTooLarge(f"bundle: {elements} elements of all tensors, must be <= {MAX_BUNDLE_ELEMENTS}")
        contexts = sum(elements_of(tensor) for tensor in self.tensors if isinstance(tensor, CodedContexts))
        if contexts > MAX_CONTEXT_ELEMENTS:
            raise BundleTooLarge(f"bundle: {contexts} elements in layout CONTEXTS, must be <= {MAX_CONTEXT_ELEMENTS}")
        streams = [stream for tensor in self.tensors for stream in streams_of(tensor)]
        _check_first_uses("Huffman table", [stream.table for stream in streams if stream.count], len(self.tables))
        shared = [tensor.codebook for tensor in self.tensors if not isinstance(tensor, CodedFloat | CodedVectors)]
        _check_first_uses("codebook", shared, len(self.codebooks))
        _check_books([tensor for tensor in self.tensors if isinstance(tensor, CodedVectors)])
        used = [tensor for node in self.graph.nodes for tensor in node.tensors]
        _check_first_uses("tensor", used, len(self.tensors))


def streams_of(tensor: CodedTensor) -> tuple[CodedStream, ...]:
    """The tensor's Huffman streams in file order."""
    if isinstance(tensor, CodedSparse):
        return (tensor.gaps, tensor.values)
    if isinstance(tensor, CodedVectors):
        return tuple(stage.values for stage in tensor.stages)
    return (tensor.values,) if isinstance(tensor, CodedCodes) else ()


def elements_of(tensor: CodedTensor) -> int:
    """Elements of the dense tensor."""
    return math.prod(tensor.shape)


def _check_books(tensors: list[CodedVectors]) -> None:
    """A vector codebook comes with its first use, as the next number; later uses have vectors of its length."""
    lengths: list[int] = []
    for tensor in tensors:
        for stage in tensor.stages:
            if stage.book > len(lengths) or (stage.book == len(lengths)) != bool(stage.codewords):
                size = len(stage.codewords)
                raise MalformedBundle(
                    f"vector codebook {stage.book}: {size} bytes of codewords, must have some at its first use alone, "
                    f"as number {len(lengths)}"
                )
            if stage.codewords:
                lengths.append(tensor.length)
            if lengths[stage.book] != tensor.length:
                raise MalformedBundle(
                    f"vector codebook {stage.book}: vectors of {lengths[stage.book]}, must be {tensor.length} here"
                )


def _check_first_uses(what: str, uses: list[int], count: int) -> None:
    """Numbers are given in the order of first use and none is left over: one spelling for every bundle."""
    following = 0
    for use in uses:
        if use > following or use >= count:
            raise MalformedBundle(f"{what} {use} is used before {following}, must be numbered by first use, < {count}")
        following = max(following, use + 1)
    if following != count:
        raise MalformedBundle(f"{what} {following} is never used, must be")
