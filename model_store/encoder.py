"""Tensors to coded tensors: layouts, shared tables and codebooks, lane size, all chosen by size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model_store.affine import encode_affine
from model_store.clustering import cluster_streams
from model_store.coded import CodedCodes, CodedContexts, CodedFloat, CodedSparse, CodedTensor, Layout
from model_store.contexts import ContextModel
from model_store.huffman import HuffmanTable, fit_table
from model_store.lanes import CodedStream, encode_stream
from model_store.layout import LaidOut, lay_out
from model_store.limits import MAX_CONTEXT_ELEMENTS, MAX_CONTEXT_TAPS, MAX_LANE_LOG2, MIN_LANE_LOG2
from model_store.sections.tensors import NO_TABLE
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor, Tensor

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
    streams = [symbols for item in laid_out.values() for symbols in _symbols_of(item) if len(symbols)]
    clusters = cluster_streams([np.bincount(symbols) for symbols in streams])
    tables = _fit_tables(streams, clusters)
    lane_log2 = choose_lane_log2(sum(len(symbols) for symbols in streams))
    numbers = iter(clusters)

    def code(symbols: np.ndarray) -> CodedStream:
        if not len(symbols):
            return CodedStream(NO_TABLE, 0, (), b"")
        number = next(numbers)
        return encode_stream(symbols, number, tables[number], lane_log2)

    codebooks: dict[bytes, int] = {}
    coded: list[CodedTensor] = []
    for index, tensor in enumerate(tensors):
        if isinstance(tensor, FloatTensor):
            coded.append(CodedFloat(tensor.shape, tensor.values.astype("<f2").tobytes()))
            continue
        if isinstance(tensor, AffineTensor):
            coded.append(CodedFloat(tensor.shape, encode_affine(tensor), Layout.AFFINE8))
            continue
        codebook = codebooks.setdefault(tensor.codebook.tobytes(), len(codebooks))
        if index in contexts:
            coded.append(CodedContexts(tensor.shape, codebook, *contexts[index]))
            continue
        item = laid_out[index]
        if item.gaps is None:
            coded.append(CodedCodes(tensor.shape, codebook, code(item.values)))
        else:
            gaps = code(item.gaps)
            coded.append(CodedSparse(item.layout, tensor.shape, codebook, item.gap_limit, gaps, code(item.values)))
    books = tuple(np.frombuffer(raw, dtype=np.float16) for raw in codebooks)
    return EncodedTensors(tables, books, lane_log2, tuple(coded))


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


def _symbols_of(item: LaidOut) -> tuple[np.ndarray, ...]:
    return (item.values,) if item.gaps is None else (item.gaps, item.values)


def _fit_tables(streams: Sequence[np.ndarray], clusters: Sequence[int]) -> tuple[HuffmanTable, ...]:
    counts: dict[int, np.ndarray] = {}
    for symbols, cluster in zip(streams, clusters, strict=True):
        histogram = np.bincount(symbols)
        known = counts.get(cluster, np.zeros(0, np.int64))
        width = max(len(known), len(histogram))
        counts[cluster] = np.pad(known, (0, width - len(known))) + np.pad(histogram, (0, width - len(histogram)))
    return tuple(fit_table(counts[cluster]) for cluster in range(len(counts)))
