import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.coded import Layout
from model_store.gaps import decode_gaps, encode_gaps
from model_store.huffman import fit_table
from model_store.layout import GAP_LIMITS, LaidOut, lay_out, row_major_positions, scan_positions
from model_store.tensors import SharedTensor
from tests.model_store.examples import random_shared

SHAPES = [(1, 1), (1, 40), (40, 1), (9, 30), (8, 4, 3, 3)]


def bits(symbols: np.ndarray) -> int:
    if not len(symbols):
        return 0
    counts = np.bincount(symbols)
    table = fit_table(counts)
    return table.coded_bits(counts) + 4 * len(table.lengths)


def bits_of(item: LaidOut) -> int:
    return bits(item.values) + (0 if item.gaps is None else bits(item.gaps))


def every_layout(tensor: SharedTensor) -> list[int]:
    """The bits of all layouts and gap limits, by doing each."""
    dense = np.zeros(math.prod(tensor.shape), np.int64)
    dense[tensor.positions] = tensor.codes.astype(np.int64) + 1
    matrix = dense.reshape(tensor.shape[0], -1)
    found = [bits(dense)]
    for scan in (matrix.ravel(), matrix.T.ravel()):
        positions = np.flatnonzero(scan)
        found += [bits(encode_gaps(positions, limit)) + bits(scan[positions]) for limit in GAP_LIMITS]
    return found


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.floats(0, 1))
def test_the_layout_chosen_is_the_smallest_of_all(seed: int, shape: tuple[int, ...], density: float) -> None:
    tensor = random_shared(np.random.default_rng(seed), shape, density)
    assert bits_of(lay_out(tensor)) == min(every_layout(tensor))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.floats(0, 1))
def test_what_is_laid_out_gives_back_positions_and_codes(seed: int, shape: tuple[int, ...], density: float) -> None:
    tensor = random_shared(np.random.default_rng(seed), shape, density)
    item = lay_out(tensor)
    if item.gaps is None:
        positions = np.flatnonzero(item.values)
        values = item.values[positions]
    else:
        scanned = decode_gaps(item.gaps, item.gap_limit, tensor.nonzeros, math.prod(shape), "here")
        positions = row_major_positions(scanned, shape, item.layout)
        order = np.argsort(positions)
        positions, values = positions[order], item.values[order]
    assert positions.tolist() == tensor.positions.tolist()
    assert (values - 1).tolist() == tensor.codes.tolist()
    assert item.values.dtype == np.uint16


@pytest.mark.parametrize(
    ("rows", "columns", "chosen", "layout"),
    [
        (40, 40, list(range(1600)), Layout.CODES),
        (40, 40, list(range(80, 120)), Layout.CSR),
        (40, 40, list(range(2, 1600, 40)), Layout.CSC),
        (40, 40, [], Layout.CSR),
    ],
)
def test_each_layout_wins_where_it_should(rows: int, columns: int, chosen: list[int], layout: Layout) -> None:
    codes = np.arange(len(chosen), dtype=np.uint16) % 3
    codebook = np.array([-1, 1, 2], np.float16)
    item = lay_out(SharedTensor((rows, columns), np.array(chosen, np.int32), codes, codebook))
    assert item.layout is layout
    assert (item.gaps is None) == (layout is Layout.CODES)


def test_gaps_of_hundreds_have_symbols_of_their_own_where_there_are_enough_of_them() -> None:
    generator = np.random.default_rng(0)
    positions = np.cumsum(generator.integers(300, 340, 3000)).astype(np.int32)
    codes = np.zeros(len(positions), np.uint16)
    item = lay_out(SharedTensor((1024, 1024), positions, codes, np.ones(1, np.float16)))
    assert item.gap_limit == 384
    assert item.gaps is not None
    assert int(item.gaps.max()) < 340


def test_codes_of_the_largest_codebook_do_not_wrap() -> None:
    codebook = np.arange(1, 1023).astype(np.float16)
    tensor = SharedTensor((2, 511), np.arange(1022, dtype=np.int32), np.arange(1022, dtype=np.uint16), codebook)
    assert lay_out(tensor).values.tolist() == list(range(1, 1023))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_column_scans_are_inverted(rows: int, columns: int, depth: int) -> None:
    shape = (rows, columns, depth)
    positions = np.arange(rows * columns * depth)
    scanned = scan_positions(positions, shape, Layout.CSC)
    assert scanned.reshape(rows, -1).T.ravel().tolist() == positions.tolist()
    assert row_major_positions(scanned, shape, Layout.CSC).tolist() == positions.tolist()
    assert scan_positions(positions, shape, Layout.CSR) is positions
    assert row_major_positions(positions, shape, Layout.CSR) is positions
