"""Coded tensors back to tensors: the streams of several decoded together, and turned into non-zeros."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from model_store.affine import decode_affine
from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    CodedTensor,
    CodedVectors,
    Layout,
    streams_of,
)
from model_store.contexts import ContextModel
from model_store.errors import MalformedBundle
from model_store.huffman import HuffmanTable
from model_store.lanes import decode_streams
from model_store.lock_step import Lookup, lookup_of, symbols_at_once
from model_store.nonzeros import Placed, SparseSymbols, place_nonzeros, rooms_for, scan_in_numpy
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor, Tensor
from model_store.vectors import VectorTensor, check_book


def decode_tensors(coded: CodedBundle, threads: int = 1) -> tuple[Tensor, ...]:
    """The bundle's tensors.

    Raises:
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    decoder = _TensorDecoder(coded.codebooks, coded.tables)
    rooms = iter(rooms_for([tensor.values.count for tensor in coded.tensors if isinstance(tensor, CodedSparse)]))
    tensors: list[Tensor] = []
    for part, places, symbols in decode_symbols(coded, threads):
        scans = [_scan_of(*pair) for pair in _sparse(part, symbols)]
        placed = iter(place_nonzeros(scans, list(itertools.islice(rooms, len(scans))), threads))
        for tensor, streams, place in zip(part, symbols, places, strict=True):
            found = next(placed) if isinstance(tensor, CodedSparse) else None
            tensors.append(decoder.decode(tensor, streams, found, place))
    return tuple(tensors)


def decode_symbols(
    coded: CodedBundle, threads: int = 1
) -> Iterator[tuple[Sequence[CodedTensor], Sequence[str], list[list[np.ndarray]]]]:
    """A few tensors at a time, what errors call them, and the symbols uint16 of their Huffman streams.

    Raises:
        MalformedBundle: a stream holds other bits than its lanes say.
    """
    lookup, names = lookup_of(coded.tables), coded.graph.tensor_names()
    places = [f'tensor "{names[index]}"' for index in range(len(coded.tensors))]
    for part in _parts(coded.tensors, symbols_at_once(threads)):
        tensors, mine = coded.tensors[part], places[part]
        yield tensors, mine, _decode_streams(tensors, lookup, coded.lane_log2, mine, threads)


def _parts(tensors: Sequence[CodedTensor], symbols: int) -> Iterator[slice]:
    """Runs of tensors that have so many symbols together, or of one that has more."""
    first = count = 0
    for index, tensor in enumerate(tensors):
        mine = sum(stream.count for stream in streams_of(tensor))
        if index > first and count + mine > symbols:
            yield slice(first, index)
            first, count = index, 0
        count += mine
    if tensors:
        yield slice(first, len(tensors))


class _TensorDecoder:
    """Makes tensors of decoded symbols, in file order: some layouts build on what came before."""

    def __init__(self, codebooks: Sequence[np.ndarray], tables: Sequence[HuffmanTable]) -> None:
        self._codebooks = codebooks
        self._tables = tables
        self._model = ContextModel()
        self._vectors = VectorDecoder()

    def decode(self, tensor: CodedTensor, streams: Sequence[np.ndarray], placed: Placed | None, place: str) -> Tensor:
        """The tensor, of its streams' symbols uint16, and where its non-zeros are, if C++ has found them.

        Raises:
            MalformedBundle: the symbols are none of such a tensor.
        """
        if isinstance(tensor, CodedFloat):
            return decode_float(tensor, place)
        if isinstance(tensor, CodedVectors):
            return self._vectors.decode(tensor, streams, place)
        codebook = self._codebooks[tensor.codebook]
        if isinstance(tensor, CodedContexts):
            return self._model.decode(tensor.shape, codebook, (tensor.mask, tensor.values), place)
        self._check_values(tensor, streams[-1], codebook, place)
        if isinstance(tensor, CodedCodes):
            positions = np.flatnonzero(streams[0]).astype(np.int32)
            codes = streams[0][positions] - np.uint16(1)
        else:
            positions, codes = placed or scan_in_numpy(_scan_of(tensor, streams), place)
        return SharedTensor.checked(tensor.shape, positions, codes, codebook)

    def _check_values(
        self, tensor: CodedCodes | CodedSparse, values: np.ndarray, codebook: np.ndarray, place: str
    ) -> None:
        if not values.size:
            return
        lengths = self._tables[tensor.values.table].lengths
        known = len(lengths) <= len(codebook) + 1  # the table has no other symbols
        if not known and int(values.max()) > len(codebook):
            raise MalformedBundle(f"{place}: value symbol {int(values.max())}, must be <= {len(codebook)}")
        if isinstance(tensor, CodedSparse) and lengths[0] and int(values.min()) == 0:
            raise MalformedBundle(f"{place}: value symbol 0, must be >= 1 where gaps say what is zero")


def _decode_streams(
    tensors: Sequence[CodedTensor], lookup: Lookup, lane_log2: int, places: Sequence[str], threads: int
) -> list[list[np.ndarray]]:
    """The symbols uint16 of each tensor's streams."""
    streams = [
        (stream, place)
        for tensor, place in zip(tensors, places, strict=True)
        for stream in streams_of(tensor)
        if stream.count
    ]
    present = decode_streams([s for s, _ in streams], lookup, lane_log2, [place for _, place in streams], threads)
    arrays, none = iter(present), np.zeros(0, dtype=np.uint16)
    return [[next(arrays) if stream.count else none for stream in streams_of(tensor)] for tensor in tensors]


def _sparse(
    tensors: Sequence[CodedTensor], symbols: Sequence[list[np.ndarray]]
) -> Iterator[tuple[CodedSparse, list[np.ndarray]]]:
    for tensor, streams in zip(tensors, symbols, strict=True):
        if isinstance(tensor, CodedSparse):
            yield tensor, streams


def _scan_of(tensor: CodedSparse, streams: Sequence[np.ndarray]) -> SparseSymbols:
    gaps, values = streams
    return SparseSymbols(tensor.shape, tensor.layout, tensor.gap_limit, gaps, values)


class VectorDecoder:
    """Decodes a bundle's tensors of layout VECTORS in file order, and keeps the codebooks that they bring."""

    def __init__(self) -> None:
        self._books: list[np.ndarray] = []

    def decode(self, tensor: CodedVectors, symbols: Sequence[np.ndarray], place: str) -> VectorTensor:
        """The tensor, of each stage's symbols uint16.

        Raises:
            MalformedBundle: codewords are not as `check_book` wants them, or a symbol is past the last one.
        """
        for stage in tensor.stages:
            if stage.codewords:
                book = np.frombuffer(stage.codewords, dtype="<f2").astype(np.float16).reshape(-1, tensor.length)
                check_book(book, place)
                self._books.append(book)
        books = tuple(self._books[stage.book] for stage in tensor.stages)
        for codes, book in zip(symbols, books, strict=True):
            if int(codes.max()) >= len(book):
                raise MalformedBundle(f"{place}: codeword {int(codes.max())}, must be < {len(book)}")
        return VectorTensor(tensor.shape, tuple(symbols), books)


def decode_float(tensor: CodedFloat, place: str) -> FloatTensor | AffineTensor:
    """A tensor without a codebook.

    Raises:
        MalformedBundle: a value is not finite, or its 8 bits are no affine tensor.
    """
    if tensor.layout is Layout.AFFINE8:
        return decode_affine(tensor.payload, tensor.shape, place)
    values = np.frombuffer(tensor.payload, dtype="<f2").astype(np.float16, copy=False)
    if not np.isfinite(values).all():
        raise MalformedBundle(f"{place}: a value is not finite, must be")
    return FloatTensor.checked(values.reshape(tensor.shape))
