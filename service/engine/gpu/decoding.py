"""Bundles decoded on a device: only compressed bytes cross the bus.

`model_store.decoder` in torch. A stream is as little trusted here as there: all that the host's decoder refuses is
refused, in its order and its words, before anything is computed from it. What is not Huffman-coded (plain values, and
layout CONTEXTS, whose arithmetic code is decoded bit by bit) is decoded on the host, and so are codewords.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    CodedVectors,
    Layout,
    streams_of,
)
from model_store.contexts import ContextModel
from model_store.decoder import VectorDecoder, decode_float
from model_store.errors import MalformedBundle
from model_store.huffman import NO_SYMBOL
from model_store.lanes import CodedStream, check_padding, locate_lanes, split_by
from model_store.tensors import Tensor as StoredTensor
from service.engine.gpu.lanes import decode_lanes, upload_lookup
from service.engine.gpu.resident import ResidentTensor


def decode_tensors_on(device: torch.device, coded: CodedBundle) -> tuple[StoredTensor, ...]:
    """The bundle's tensors, shared ones resident on the device.

    Raises:
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    names = coded.graph.tensor_names()
    places = [f'tensor "{names[index]}"' for index in range(len(coded.tensors))]
    pairs = [
        (stream, place) for tensor, place in zip(coded.tensors, places, strict=True) for stream in streams_of(tensor)
    ]
    symbols = iter(_decode_streams(device, coded, pairs))
    model, books = ContextModel(), VectorDecoder()
    tensors: list[StoredTensor] = []
    for tensor, place in zip(coded.tensors, places, strict=True):
        if isinstance(tensor, CodedFloat):
            tensors.append(decode_float(tensor, place))
        elif isinstance(tensor, CodedContexts):
            streams = (tensor.mask, tensor.values)
            tensors.append(model.decode(tensor.shape, coded.codebooks[tensor.codebook], streams, place))
        elif isinstance(tensor, CodedVectors):
            codes = [next(symbols).cpu().numpy().astype(np.uint16) for _ in streams_of(tensor)]
            tensors.append(books.decode(tensor, codes, place))
        else:
            mine = [next(symbols) for _ in streams_of(tensor)]
            tensors.append(_decode_shared(tensor, mine, coded.codebooks[tensor.codebook], place))
    return tuple(tensors)


def _decode_streams(device: torch.device, coded: CodedBundle, pairs: Sequence[tuple[CodedStream, str]]) -> list[Tensor]:
    """Symbols int64 of each stream, all decoded at once; `model_store.lanes.decode_streams` is the host's."""
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    present = [(stream, place) for stream, place in pairs if stream.count]
    if not present:
        return [empty] * len(pairs)
    for stream, place in present:
        check_padding(stream, place)
    streams = [stream for stream, _ in present]
    lanes, ends = locate_lanes(streams, coded.lane_log2)
    payload = b"".join(stream.payload for stream in streams)
    symbols, reached = decode_lanes(lanes, payload, upload_lookup(coded.tables, device))
    parts = symbols.long().split([stream.count for stream in streams])
    largest = torch.stack([part.max() for part in parts]).tolist()
    mistaken = split_by(reached.cpu().numpy() != ends, [len(stream.lane_bits) for stream in streams])
    for (_, place), wrong, symbol in zip(present, mistaken, largest, strict=True):
        if wrong.any():
            raise MalformedBundle(f"{place}: the codes do not end where their lane ends")
        if symbol == NO_SYMBOL:
            raise MalformedBundle(f"{place}: holds a code that its Huffman table lacks")
    decoded = iter(parts)
    return [next(decoded) if stream.count else empty for stream, _ in pairs]


def _decode_shared(
    tensor: CodedCodes | CodedSparse, symbols: list[Tensor], codebook: np.ndarray, place: str
) -> ResidentTensor:
    values = symbols[-1]
    least, largest = torch.stack(torch.aminmax(values)).tolist() if len(values) else (1, 0)
    if largest > len(codebook):
        raise MalformedBundle(f"{place}: value symbol {largest}, must be <= {len(codebook)}")
    if isinstance(tensor, CodedCodes):
        positions = torch.nonzero(values).view(-1)
        return ResidentTensor(tensor.shape, positions, values[positions] - 1, codebook)
    if least == 0:
        raise MalformedBundle(f"{place}: value symbol 0, must be >= 1 where gaps say what is zero")
    positions = _decode_gaps(symbols[0], tensor.gap_limit, len(values), math.prod(tensor.shape), place)
    if tensor.layout is Layout.CSR:
        return ResidentTensor(tensor.shape, positions, values - 1, codebook)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    positions, order = torch.sort(positions % rows * columns + positions // rows)
    return ResidentTensor(tensor.shape, positions, values[order] - 1, codebook)


def _decode_gaps(symbols: Tensor, limit: int, count: int, elements: int, place: str) -> Tensor:
    """Positions int64 [count] below `elements`, rising; `model_store.gaps.decode_gaps` is the host's."""
    literal = symbols != limit
    if len(symbols):
        largest, found, ends_literal = torch.stack([symbols.max(), literal.sum(), literal[-1].long()]).tolist()
    else:
        largest, found, ends_literal = 0, 0, 1
    if largest > limit:
        raise MalformedBundle(f"{place}: gap symbol {largest}, must be <= {limit}")
    if found != count or not ends_literal:
        raise MalformedBundle(f"{place}: {found} positions, must be {count}, the last symbol one of them")
    positions = torch.cumsum(symbols + literal, 0)[literal] - 1
    if count and int(positions[-1]) >= elements:
        raise MalformedBundle(f"{place}: position {int(positions[-1])}, must be < {elements}")
    return positions
