"""Coded tensors back to tensors: every stream of the bundle decoded in one lock step."""

from collections.abc import Sequence

import numpy as np

from model_store.affine import decode_affine
from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    Layout,
    streams_of,
)
from model_store.contexts import ContextModel
from model_store.errors import MalformedBundle
from model_store.lanes import decode_streams
from model_store.nonzeros import SparseSymbols, place_nonzeros
from model_store.tensors import FloatTensor, SharedTensor, Tensor


def decode_tensors(coded: CodedBundle) -> tuple[Tensor, ...]:
    """The bundle's tensors.

    Raises:
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    names = coded.graph.tensor_names()
    owners = [index for index, tensor in enumerate(coded.tensors) for _ in streams_of(tensor)]
    streams = [stream for tensor in coded.tensors for stream in streams_of(tensor)]
    present = [index for index, stream in enumerate(streams) if stream.count]
    places = [f'tensor "{names[owners[index]]}"' for index in present]
    decoded = [np.zeros(0, dtype=np.uint16)] * len(streams)
    arrays = decode_streams([streams[index] for index in present], coded.tables, coded.lane_log2, places)
    for index, symbols in zip(present, arrays, strict=True):
        decoded[index] = symbols
    symbols_of = iter(decoded)
    tensors: list[Tensor] = []
    model = ContextModel()
    for index, tensor in enumerate(coded.tensors):
        place = f'tensor "{names[index]}"'
        if isinstance(tensor, CodedContexts):
            streams_coded = (tensor.mask, tensor.values)
            tensors.append(model.decode(tensor.shape, coded.codebooks[tensor.codebook], streams_coded, place))
            continue
        mine = [next(symbols_of) for _ in streams_of(tensor)]
        tensors.append(_decode_tensor(tensor, mine, coded.codebooks, place))
    return tuple(tensors)


def _decode_tensor(
    tensor: CodedFloat | CodedCodes | CodedSparse,
    symbols: list[np.ndarray],
    codebooks: Sequence[np.ndarray],
    place: str,
) -> Tensor:
    if isinstance(tensor, CodedFloat):
        if tensor.layout is Layout.AFFINE8:
            return decode_affine(tensor.payload, tensor.shape, place)
        values = np.frombuffer(tensor.payload, dtype="<f2").astype(np.float16).reshape(tensor.shape)
        if not np.isfinite(values).all():
            raise MalformedBundle(f"{place}: a value is not finite, must be")
        return FloatTensor(values)
    codebook = codebooks[tensor.codebook]
    if symbols[-1].size and int(symbols[-1].max()) > len(codebook):
        raise MalformedBundle(f"{place}: value symbol {int(symbols[-1].max())}, must be <= {len(codebook)}")
    if isinstance(tensor, CodedCodes):
        positions = np.flatnonzero(symbols[0]).astype(np.int64)
        return SharedTensor(tensor.shape, positions, symbols[0][positions] - np.uint16(1), codebook)
    return _decode_sparse(tensor, symbols[0], symbols[1], codebook, place)


def _decode_sparse(
    tensor: CodedSparse, gaps: np.ndarray, values: np.ndarray, codebook: np.ndarray, place: str
) -> SharedTensor:
    if values.size and int(values.min()) == 0:
        raise MalformedBundle(f"{place}: value symbol 0, must be >= 1 where gaps say what is zero")
    symbols = SparseSymbols(tensor.shape, tensor.layout, tensor.gap_limit, gaps, values)
    positions, codes = place_nonzeros(symbols, place)
    return SharedTensor(tensor.shape, positions, codes, codebook)
