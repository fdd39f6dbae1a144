"""Gap and value streams to positions and codes: in C++ where the extension was built, in numpy elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model_store.coded import CodedSparse, CodedTensor, Layout, streams_of
from model_store.gaps import decode_gaps
from model_store.lanes import CodedStream, split_by
from model_store.layout import row_major_positions
from model_store.lock_step import Lookup, threads_for

if TYPE_CHECKING:
    from model_store._lanes_native import ToDecode, ToRead

_POSITION, _CODE = np.dtype(np.int32), np.dtype(np.uint16)
_LARGE_PAGE = 1 << 21
_COUNTED_ROWS = 1 << 16  # a row costs the C++ 8 bytes, so that a claim of many is left to numpy, which sorts

Placed = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class SparseSymbols:
    """The decoded streams of a tensor in layout CSR or CSC.

    Attributes:
        gaps: uint16, what `encode_gaps` gives for `gap_limit`.
        values: uint16 [nonzeros], 1 or more.
    """

    shape: tuple[int, ...]
    layout: Layout
    gap_limit: int
    gaps: np.ndarray
    values: np.ndarray


def rooms_for(counts: Sequence[int]) -> list[Placed]:
    """Positions and codes of so many non-zeros each, not filled in.

    They share one piece of memory, which begins at a large page if it fills one: numpy asks the system for those from
    4 MiB on, and to bring a thousand small ones takes longer than all that is written to them.
    """
    total = sum(counts)
    size = total * (_POSITION.itemsize + _CODE.itemsize)
    alignment = _LARGE_PAGE if size >= _LARGE_PAGE else 1
    memory = np.empty(size + alignment, dtype=np.uint8)
    first = -memory.ctypes.data % alignment
    positions, codes = np.split(memory[first : first + size], [total * _POSITION.itemsize])
    return list(zip(split_by(positions.view(_POSITION), counts), split_by(codes.view(_CODE), counts), strict=True))


def decode_nonzeros(
    tensors: Sequence[CodedTensor],
    codebooks: Sequence[np.ndarray],
    lookup: Lookup,
    lane_log2: int,
    threads: int = 1,
) -> dict[int, Placed]:
    """By the index of each sparse tensor, positions int32 [nonzeros], row-major and strictly rising, and codes uint16.

    Those that C++ does not do are left out: `decode_streams` and `scan_in_numpy` do them, or say what is wrong.
    """
    if isinstance(lookup, np.ndarray):
        return {}
    sparse = ((at, tensor) for at, tensor in enumerate(tensors) if isinstance(tensor, CodedSparse))
    suited = {at: tensor for at, tensor in sparse if tensor.shape[0] <= _COUNTED_ROWS}
    rooms = rooms_for([tensor.values.count for tensor in suited.values()])
    given = [
        _arguments(tensor, len(codebooks[tensor.codebook]), room)
        for tensor, room in zip(suited.values(), rooms, strict=True)
    ]
    symbols = sum(stream.count for tensor in suited.values() for stream in streams_of(tensor))
    decoded = lookup.nonzeros(given, lane_log2, threads_for(symbols, threads))
    return {at: room for at, room, success in zip(suited, rooms, decoded, strict=True) if success}


def _arguments(tensor: CodedSparse, largest: int, target: Placed) -> "ToDecode":
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    gaps, values = (_stream(stream) for stream in (tensor.gaps, tensor.values))
    return gaps, values, tensor.gap_limit, rows, columns, tensor.layout is Layout.CSC, largest, *target


def _stream(stream: CodedStream) -> "ToRead":
    return stream.payload, stream.table, stream.count, stream.lane_bits


def scan_in_numpy(symbols: SparseSymbols, place: str) -> Placed:
    """Positions and codes from symbols, in numpy.

    Raises:
        MalformedBundle: the gaps do not stand for as many positions as there are values, inside the tensor.
    """
    rows, codes = symbols.shape[0], symbols.values - np.uint16(1)
    scanned = decode_gaps(symbols.gaps, symbols.gap_limit, len(codes), math.prod(symbols.shape), place)
    if symbols.layout is Layout.CSR:
        return scanned.astype(np.int32), codes
    positions = row_major_positions(scanned, symbols.shape, symbols.layout)
    # Columns rise already; 16 bits make numpy sort the rows by radix, ten times as fast as by comparison.
    row_of = scanned % rows
    order = np.argsort(row_of.astype(np.uint16) if rows <= 1 << 16 else row_of, kind="stable")
    return positions[order].astype(np.int32), codes[order]
