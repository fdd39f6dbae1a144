"""How each shared tensor is laid out: CSR, CSC or a code for every element, with the gap limit, by exact bits."""

import math
from dataclasses import dataclass

import numpy as np

from model_store.coded import Layout
from model_store.gaps import encode_gaps, gap_histogram
from model_store.huffman import fit_table
from model_store.tensors import SharedTensor

GAP_LIMITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255, 384, 512, 768, 1022)
TABLE_BITS_PER_SYMBOL = 4


@dataclass(frozen=True, slots=True, eq=False)
class LaidOut:
    """A shared tensor as symbols: `gaps` is None, and `gap_limit` 0, where every element has a code."""

    layout: Layout
    gap_limit: int
    gaps: np.ndarray | None
    values: np.ndarray


def lay_out(tensor: SharedTensor) -> LaidOut:
    """The layout that takes the fewest bits, tables counted as if the tensor had its own."""
    codes_bits = _stream_bits(np.bincount(_element_symbols(tensor)))
    value_bits = _stream_bits(np.bincount(tensor.codes + 1)) if tensor.nonzeros else 0
    candidates = [(codes_bits, Layout.CODES, 0)]
    for layout in (Layout.CSR, Layout.CSC):
        positions = np.sort(scan_positions(tensor.positions, tensor.shape, layout))
        for limit in GAP_LIMITS if tensor.nonzeros else (1,):
            gap_bits = _stream_bits(gap_histogram(positions, limit)) if tensor.nonzeros else 0
            candidates.append((gap_bits + value_bits, layout, limit))
    _, layout, limit = min(candidates)
    if layout is Layout.CODES:
        return LaidOut(layout, 0, None, _element_symbols(tensor))
    positions = scan_positions(tensor.positions, tensor.shape, layout)
    order = np.argsort(positions, kind="stable")
    return LaidOut(layout, limit, encode_gaps(positions[order], limit), (tensor.codes + 1)[order])


def scan_positions(positions: np.ndarray, shape: tuple[int, ...], layout: Layout) -> np.ndarray:
    """Row-major positions to those of the layout's scan: the same for CSR, column-major for CSC."""
    if layout is Layout.CSR:
        return positions
    rows, columns = shape[0], math.prod(shape[1:])
    row, column = np.divmod(positions, columns)
    return column * rows + row


def row_major_positions(positions: np.ndarray, shape: tuple[int, ...], layout: Layout) -> np.ndarray:
    """The inverse of `scan_positions`."""
    if layout is Layout.CSR:
        return positions
    rows, columns = shape[0], math.prod(shape[1:])
    column, row = np.divmod(positions, rows)
    return row * columns + column


def _element_symbols(tensor: SharedTensor) -> np.ndarray:
    symbols = np.zeros(math.prod(tensor.shape), dtype=np.uint16)
    symbols[tensor.positions] = tensor.codes + 1
    return symbols


def _stream_bits(counts: np.ndarray) -> int:
    table = fit_table(counts)
    return table.coded_bits(counts) + TABLE_BITS_PER_SYMBOL * len(table.lengths)
