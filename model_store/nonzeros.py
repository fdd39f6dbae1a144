"""Gap and value symbols to positions and codes: in C++ where the extension was built, in numpy elsewhere."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model_store.coded import Layout
from model_store.gaps import decode_gaps
from model_store.layout import row_major_positions

_COUNTED_ROWS = 1 << 16  # a row costs the C++ 8 bytes, so that a claim of many is left to numpy, which sorts


def _find_placer() -> Callable[..., bool] | None:
    try:
        from model_store._lanes_native import place
    except ImportError:  # built without a compiler
        return None
    return place


_place = _find_placer()


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


def place_nonzeros(symbols: SparseSymbols, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions int64 [nonzeros], row-major and strictly rising, and codes uint16 [nonzeros], value symbols less one.

    Raises:
        MalformedBundle: the gaps do not stand for as many positions as there are values, inside the tensor.
    """
    rows, columns = symbols.shape[0], math.prod(symbols.shape[1:])
    if _place is not None and rows <= _COUNTED_ROWS:
        positions = np.empty(len(symbols.values), dtype=np.int64)
        codes = np.empty(len(symbols.values), dtype=np.uint16)
        by_columns = symbols.layout is Layout.CSC
        if _place(symbols.gaps, symbols.values, symbols.gap_limit, rows, columns, by_columns, positions, codes):
            return positions, codes
    return scan_in_numpy(symbols, place)  # which says what is wrong, if anything is


def scan_in_numpy(symbols: SparseSymbols, place: str) -> tuple[np.ndarray, np.ndarray]:
    """The same in numpy."""
    rows, codes = symbols.shape[0], symbols.values - np.uint16(1)
    scanned = decode_gaps(symbols.gaps, symbols.gap_limit, len(codes), math.prod(symbols.shape), place)
    if symbols.layout is Layout.CSR:
        return scanned, codes
    positions = row_major_positions(scanned, symbols.shape, symbols.layout)
    # Columns rise already; 16 bits make numpy sort the rows by radix, ten times as fast as by comparison.
    row_of = scanned % rows
    order = np.argsort(row_of.astype(np.uint16) if rows <= 1 << 16 else row_of, kind="stable")
    return positions[order], codes[order]
