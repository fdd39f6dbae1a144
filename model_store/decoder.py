"""Coded tensors back to tensors: the streams of several decoded together, and turned into non-zeros."""

from collections.abc import Collection, Iterator, Sequence

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
from model_store.lanes import CodedStream, decode_streams
from model_store.lock_step import Lookup, lookup_of, symbols_at_once
from model_store.nonzeros import Placed, SparseSymbols, decode_nonzeros, scan_in_numpy
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor, Tensor
from model_store.vectors import VectorTensor, check_book


def decode_tensors(coded: CodedBundle, threads: int = 1) -> tuple[Tensor, ...]:
    """The bundle's tensors.

    Raises:
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    lookup = lookup_of(coded.tables)
    decoder = _TensorDecoder(coded.codebooks, coded.tables)
    placed = decode_nonzeros(coded.tensors, coded.codebooks, lookup, coded.lane_log2, threads)
    tensors: list[Tensor] = []
    for part, places, symbols in decode_symbols(coded, lookup, threads, placed):
        for tensor, streams, place in zip(part, symbols, places, strict=True):
            tensors.append(decoder.decode(tensor, streams, placed.get(len(tensors)), place))
    return tuple(tensors)


def decode_symbols(
    coded: CodedBundle, lookup: Lookup, threads: int = 1, done: Collection[int] = ()
) -> Iterator[tuple[Sequence[CodedTensor], Sequence[str], list[list[np.ndarray]]]]:
    """A few tensors at a time, what errors call them, and the symbols uint16 of their Huffman streams.

    There are no symbols of the tensors that are `done`.

    Raises:
        MalformedBundle: a stream holds other bits than its lanes say.
    """
    names = coded.graph.tensor_names()
    places = [f'tensor "{names[index]}"' for index in range(len(coded.tensors))]
    streams = [() if index in done else streams_of(tensor) for index, tensor in enumerate(coded.tensors)]
    for part in _parts(streams, symbols_at_once(threads)):
        mine = places[part]
        yield coded.tensors[part], mine, _decode_streams(streams[part], lookup, coded.lane_log2, mine, threads)


def _parts(streams: Sequence[Sequence[CodedStream]], symbols: int) -> Iterator[slice]:
    """Runs of tensors whose streams have so many symbols together, or of one that has more."""
    first = count = 0
    for index, own in enumerate(streams):
        mine = sum(stream.count for stream in own)
        if index > first and count + mine > symbols:
            yield slice(first, index)
            first, count = index, 0
        count += mine
    if streams:
        yield slice(first, len(streams))


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
        if placed:
            return SharedTensor.checked(tensor.shape, *placed, codebook)
        if isinstance(tensor, CodedContexts):
            return self._model.decode(tensor.shape, codebook, (tensor.mask, tensor.values), place)
        self._check_values(tensor, streams[-1], codebook, place)
        if isinstance(tensor, CodedCodes):
            positions = np.flatnonzero(streams[0]).astype(np.int32)
            codes = streams[0][positions] - np.uint16(1)
        else:
            gaps, values = streams
            scan = SparseSymbols(tensor.shape, tensor.layout, tensor.gap_limit, gaps, values)
            positions, codes = scan_in_numpy(scan, place)
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
    tensors: Sequence[Sequence[CodedStream]], lookup: Lookup, lane_log2: int, places: Sequence[str], threads: int
) -> list[list[np.ndarray]]:
    """The symbols uint16 of each tensor's streams."""
    streams = [(stream, place) for own, place in zip(tensors, places, strict=True) for stream in own if stream.count]
    present = decode_streams([s for s, _ in streams], lookup, lane_log2, [place for _, place in streams], threads)
    arrays, none = iter(present), np.zeros(0, dtype=np.uint16)
    return [[next(arrays) if stream.count else none for stream in own] for own in tensors]


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
