import math
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import lock_step
from model_store import nonzeros as module
from model_store.coded import Layout
from model_store.errors import MalformedBundle
from model_store.gaps import encode_gaps
from model_store.layout import scan_positions
from model_store.nonzeros import Placed, SparseSymbols, place_nonzeros, rooms_for, scan_in_numpy

_lanes_native = pytest.importorskip("model_store._lanes_native", reason="built without a compiler")

SHAPES = [(1, 1), (1, 40), (40, 1), (7, 9), (5, 3, 3, 2), (64, 16), (300, 11), (513, 4, 3), (2, 65_536), (2, 65_537)]
LAYOUTS = st.sampled_from([Layout.CSR, Layout.CSC])


def symbols_of(positions: np.ndarray, shape: tuple[int, ...], layout: Layout, limit: int, seed: int) -> SparseSymbols:
    scanned = np.sort(scan_positions(positions, shape, layout))
    values = np.random.default_rng(seed).integers(1, 1023, len(scanned)).astype(np.uint16)
    return SparseSymbols(shape, layout, limit, encode_gaps(scanned, limit), values)


def placed_natively(tensors: list[SparseSymbols], threads: int = 1) -> list[Placed | None]:
    return place_nonzeros(tensors, rooms_for([len(tensor.values) for tensor in tensors]), threads)


def natively(symbols: SparseSymbols, place: str) -> Placed:
    (placed,) = placed_natively([symbols])
    return placed or scan_in_numpy(symbols, place)


def outcome(decode: Callable[[SparseSymbols, str], Placed], symbols: SparseSymbols) -> tuple[object, object] | str:
    try:
        positions, codes = decode(symbols, "here")
    except MalformedBundle as error:
        return str(error)
    assert (positions.dtype, codes.dtype) == (np.int32, np.uint16)
    return positions.tolist(), codes.tolist()


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SHAPES), LAYOUTS, st.floats(0, 1), st.integers(1, 1022), st.integers(0, 2**32 - 1))
def test_non_zeros_come_back_in_their_order_and_both_decoders_agree(
    shape: tuple[int, ...], layout: Layout, density: float, limit: int, seed: int
) -> None:
    elements = math.prod(shape)
    positions = np.flatnonzero(np.random.default_rng(seed).random(elements) < density).astype(np.int32)
    symbols = symbols_of(positions, shape, layout, limit, seed)
    found = outcome(natively, symbols)
    assert found[0] == positions.tolist()
    assert found == outcome(scan_in_numpy, symbols)
    assert placed_natively([symbols]) != [None]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SHAPES[:6]),
    LAYOUTS,
    st.integers(1, 6),
    st.lists(st.integers(0, 7), max_size=30),
    st.integers(-1, 1),
)
def test_both_decoders_take_and_refuse_any_gaps_alike(
    shape: tuple[int, ...], layout: Layout, limit: int, gaps: list[int], off: int
) -> None:
    count = max(0, sum(gap != limit for gap in gaps) + off)
    values = np.arange(1, count + 1, dtype=np.uint16)
    symbols = SparseSymbols(shape, layout, limit, np.array(gaps, np.uint16), values)
    assert outcome(natively, symbols) == outcome(scan_in_numpy, symbols)


@pytest.mark.parametrize("layout", [Layout.CSR, Layout.CSC])
@pytest.mark.parametrize(
    ("gaps", "values", "message"),
    [
        ([0, 4], 2, "here: gap symbol 4, must be <= 3"),
        ([0, 1], 3, "here: 2 positions, must be 3, the last symbol one of them"),
        ([0, 3], 1, "here: 1 positions, must be 1, the last symbol one of them"),
        ([2, 3, 0], 2, "here: position 6, must be < 6"),
    ],
)
def test_what_the_extension_refuses_is_told_as_numpy_tells_it(
    layout: Layout, gaps: list[int], values: int, message: str
) -> None:
    symbols = SparseSymbols((2, 3), layout, 3, np.array(gaps, np.uint16), np.ones(values, np.uint16))
    assert outcome(natively, symbols) == message


def test_a_claim_of_many_rows_is_left_to_numpy() -> None:
    few = symbols_of(np.array([0, 5]), (2, 3), Layout.CSC, 3, 0)
    many = symbols_of(np.array([0, 9, (1 << 25) - 1]), (1 << 24, 2), Layout.CSC, 1022, 0)
    first, second, third = placed_natively([few, many, few])
    assert first is not None
    assert second is None
    assert third is not None
    assert outcome(natively, many) == outcome(scan_in_numpy, many)
    assert outcome(natively, many)[0] == [0, 9, (1 << 25) - 1]


@pytest.mark.parametrize("threads", [1, 2, 9])
def test_threads_share_the_tensors_and_one_that_is_refused_hinders_no_other(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(lock_step, "_SYMBOLS_A_THREAD", 1)
    generator = np.random.default_rng(0)
    tensors = []
    for at, layout in enumerate([Layout.CSR, Layout.CSC] * 8):
        positions = np.flatnonzero(generator.random(64 * 27) < 0.3).astype(np.int32)
        tensors.append(symbols_of(positions, (64, 3, 3, 3), layout, 7, at))
    tensors[5] = replace(tensors[5], gaps=tensors[5].gaps[:-1])
    placed = placed_natively(tensors, threads)
    assert [at for at, found in enumerate(placed) if found is None] == [5]
    for tensor, found in zip(tensors, placed, strict=True):
        if found is not None:
            assert outcome(lambda *_, mine=found: mine, tensor) == outcome(scan_in_numpy, tensor)


@pytest.mark.parametrize("counts", [[], [0], [3, 0, 5], [100_000, 1, 249_527], [349_526], [1_000_000, 7]])
def test_rooms_lie_apart_and_begin_at_a_large_page_if_they_fill_one(counts: list[int]) -> None:
    rooms = rooms_for(counts)
    assert [(len(positions), len(codes)) for positions, codes in rooms] == [(count, count) for count in counts]
    for at, (positions, codes) in enumerate(rooms):
        assert (positions.dtype, codes.dtype) == (np.int32, np.uint16)
        positions[:], codes[:] = at, at
    assert all((positions == at).all() and (codes == at).all() for at, (positions, codes) in enumerate(rooms))
    if 6 * sum(counts) >= 1 << 21:
        assert rooms[0][0].ctypes.data % (1 << 21) == 0


def test_no_tensors_are_no_trouble() -> None:
    assert place_nonzeros([], []) == []


def test_numpy_takes_over_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_store._lanes_native", None)
    monkeypatch.setattr(module, "_place", module._find_placer())
    assert module._place is None
    symbols = SparseSymbols((2, 3), Layout.CSC, 3, np.array([1, 3, 0], np.uint16), np.array([4, 2], np.uint16))
    assert placed_natively([symbols]) == [None]
    assert outcome(natively, symbols) == ([3, 5], [3, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1 << 16}, "limit"),
        ({"rows": 0}, "shape"),
        ({"columns": 0}, "shape"),
        ({"rows": 1 << 16, "columns": 1 << 16}, "shape"),
        ({"values": 3}, "lengths differ"),
        ({"codes": 1}, "lengths differ"),
        ({"threads": 0}, "threads"),
        ({"threads": 257}, "threads"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(change: dict[str, int], message: str) -> None:
    given_ = {"limit": 3, "rows": 2, "columns": 3, "values": 2, "codes": 2, "threads": 1} | change
    values, codes = np.ones(given_["values"], np.uint16), np.zeros(given_["codes"], np.uint16)
    numbers = (given_["limit"], given_["rows"], given_["columns"])
    tensor = (np.array([0, 1], np.uint16), values, *numbers, True, np.zeros(2, np.int32), codes)
    with pytest.raises(ValueError, match=message):
        _lanes_native.place([tensor], given_["threads"])
