"""Gap and value symbols to positions and codes: in C++ where the extension was built, in numpy elsewhere."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model_store.coded import Layout
from model_store.gaps import decode_gaps
from model_store.lanes import split_by
from model_store.layout import row_major_positions
from model_store.lock_step import threads_for

_POSITION, _CODE = np.dtype(np.int32), np.dtype(np.uint16)
_LARGE_PAGE = 1 << 21
_COUNTED_ROWS = 1 << 16  # a row costs the C++ 8 bytes, so that a claim of many is left to numpy, which sorts


def _find_placer() -> Callable[..., list[int]] | None:
    try:
        from model_store._lanes_native import place
    except ImportError:  # built without a compiler
        return None
    return place


_place = _find_placer()


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


def place_nonzeros(tensors: Sequence[SparseSymbols], rooms: Sequence[Placed], threads: int = 1) -> list[Placed | None]:
    """Fill in positions int32 [nonzeros], row-major and strictly rising, and codes uint16 [nonzeros], value symbols
    less one, and give them back.

    None where C++ does not do it: `scan_in_numpy` does then, or says what is wrong with the gaps.
    """
    if _place is None:
        return [None] * len(tensors)
    suited = [at for at, tensor in enumerate(tensors) if tensor.shape[0] <= _COUNTED_ROWS]
    symbols = sum(len(tensor.gaps) for tensor in tensors)
    done = _place([_arguments(tensors[at], rooms[at]) for at in suited], threads_for(symbols, threads))
    made = {at for at, success in zip(suited, done, strict=True) if success}
    return [rooms[at] if at in made else None for at in range(len(tensors))]


def _arguments(tensor: SparseSymbols, target: Placed) -> tuple[object, ...]:
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    by_columns = tensor.layout is Layout.CSC
    return (tensor.gaps, tensor.values, tensor.gap_limit, rows, columns, by_columns, *target)


def scan_in_numpy(symbols: SparseSymbols, place: str) -> Placed:
    """The same in numpy.

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
