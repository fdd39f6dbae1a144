"""Tensors to coded tensors: layouts, shared tables and codebooks, lane size, all chosen by size."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from model_store.affine import encode_affine
from model_store.clustering import cluster_streams
from model_store.coded import (
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    CodedStage,
    CodedTensor,
    CodedVectors,
    Layout,
)
from model_store.contexts import ContextModel
from model_store.huffman import HuffmanTable, fit_table
from model_store.lanes import CodedStream, encode_stream
from model_store.layout import LaidOut, lay_out
from model_store.limits import MAX_CONTEXT_ELEMENTS, MAX_CONTEXT_TAPS, MAX_LANE_LOG2, MIN_LANE_LOG2
from model_store.sections.streams import NO_TABLE
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor, Tensor
from model_store.vectors import VectorTensor

CodingChoice = Literal["huffman", "arithmetic", "smallest"]

MIN_LANES = 64  # below this numpy's lock step has too little to do at once; above, lane lengths cost bytes


@dataclass(frozen=True, slots=True)
class EncodedTensors:
    """What the encoder chose."""

    tables: tuple[HuffmanTable, ...]
    codebooks: tuple[np.ndarray, ...]
    lane_log2: int
    tensors: tuple[CodedTensor, ...]


def encode_tensors(tensors: Sequence[Tensor], coder: Literal["huffman", "arithmetic"] = "huffman") -> EncodedTensors:
    """Code all tensors of a bundle, which are in the order of their first use."""
    contexts = _context_coded(tensors) if coder == "arithmetic" else {}
    laid_out = {
        index: lay_out(tensor)
        for index, tensor in enumerate(tensors)
        if isinstance(tensor, SharedTensor) and index not in contexts
    }
    streams = [
        symbols
        for index, tensor in enumerate(tensors)
        for symbols in (tensor.codes if isinstance(tensor, VectorTensor) else _symbols_of(laid_out.get(index)))
        if len(symbols)
    ]
    clusters = cluster_streams([np.bincount(symbols) for symbols in streams])
    tables = _fit_tables(streams, clusters)
    lane_log2 = choose_lane_log2(sum(len(symbols) for symbols in streams))
    writer = _TensorWriter(tables, iter(clusters), lane_log2)
    coded: list[CodedTensor] = []
    for index, tensor in enumerate(tensors):
        if isinstance(tensor, SharedTensor):
            coded.append(writer.shared(tensor, laid_out.get(index), contexts.get(index)))
        elif isinstance(tensor, VectorTensor):
            coded.append(writer.vectors(tensor))
        else:
            coded.append(_code_float(tensor))
    books = tuple(np.frombuffer(raw, dtype=np.float16) for raw in writer.codebooks)
    return EncodedTensors(tables, books, lane_log2, tuple(coded))


def _code_float(tensor: FloatTensor | AffineTensor) -> CodedFloat:
    if isinstance(tensor, AffineTensor):
        return CodedFloat(tensor.shape, encode_affine(tensor), Layout.AFFINE8)
    return CodedFloat(tensor.shape, tensor.values.astype("<f2").tobytes())


@dataclass(slots=True)
class _TensorWriter:
    """Codes tensors in file order: streams take the tables meant for them, codebooks are numbered by first use."""

    tables: tuple[HuffmanTable, ...]
    numbers: Iterator[int]
    lane_log2: int
    codebooks: dict[bytes, int] = field(default_factory=dict)
    books: dict[tuple[int, bytes], int] = field(default_factory=dict)

    def shared(self, tensor: SharedTensor, item: LaidOut | None, contexts: tuple[bytes, bytes] | None) -> CodedTensor:
        codebook = self.codebooks.setdefault(tensor.codebook.tobytes(), len(self.codebooks))
        if contexts is not None:
            return CodedContexts(tensor.shape, codebook, *contexts)
        assert item is not None
        if item.gaps is None:
            return CodedCodes(tensor.shape, codebook, self._code(item.values))
        gaps = self._code(item.gaps)
        return CodedSparse(item.layout, tensor.shape, codebook, item.gap_limit, gaps, self._code(item.values))

    def vectors(self, tensor: VectorTensor) -> CodedVectors:
        stages = []
        for codes, book in zip(tensor.codes, tensor.books, strict=True):
            codewords = book.astype("<f2").tobytes()
            known = len(self.books)
            number = self.books.setdefault((tensor.length, codewords), known)
            stages.append(CodedStage(number, codewords if number == known else b"", self._code(codes)))
        return CodedVectors(tensor.shape, tensor.length, tuple(stages))

    def _code(self, symbols: np.ndarray) -> CodedStream:
        if not len(symbols):
            return CodedStream(NO_TABLE, 0, (), b"")
        number = next(self.numbers)
        return encode_stream(symbols, number, self.tables[number], self.lane_log2)


def _context_coded(tensors: Sequence[Tensor]) -> dict[int, tuple[bytes, bytes]]:
    """index -> streams of mask and values, of the shared tensors that the limits of layout CONTEXTS let in."""
    model, elements = ContextModel(), 0
    streams: dict[int, tuple[bytes, bytes]] = {}
    for index, tensor in enumerate(tensors):
        if not isinstance(tensor, SharedTensor) or math.prod(tensor.shape[2:]) > MAX_CONTEXT_TAPS:
            continue
        if elements + math.prod(tensor.shape) <= MAX_CONTEXT_ELEMENTS:
            elements += math.prod(tensor.shape)
            streams[index] = model.encode(tensor)
    return streams


def choose_lane_log2(symbols: int) -> int:
    """The largest lanes that still leave `MIN_LANES` of them."""
    log2 = MAX_LANE_LOG2
    while log2 > MIN_LANE_LOG2 and symbols >> log2 < MIN_LANES:
        log2 -= 1
    return log2


def _symbols_of(item: LaidOut | None) -> tuple[np.ndarray, ...]:
    if item is None:
        return ()
    return (item.values,) if item.gaps is None else (item.gaps, item.values)


def _fit_tables(streams: Sequence[np.ndarray], clusters: Sequence[int]) -> tuple[HuffmanTable, ...]:
    counts: dict[int, np.ndarray] = {}
    for symbols, cluster in zip(streams, clusters, strict=True):
        histogram = np.bincount(symbols)
        known = counts.get(cluster, np.zeros(0, np.int64))
        width = max(len(known), len(histogram))
        counts[cluster] = np.pad(known, (0, width - len(known))) + np.pad(histogram, (0, width - len(histogram)))
    return tuple(fit_table(counts[cluster]) for cluster in range(len(counts)))
