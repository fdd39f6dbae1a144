import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import lock_step
from model_store.coded import CodedSparse, Layout
from model_store.errors import MalformedBundle
from model_store.gaps import encode_gaps
from model_store.huffman import HuffmanTable, fit_table
from model_store.lanes import CodedStream, encode_stream
from model_store.layout import scan_positions
from model_store.nonzeros import Placed, SparseSymbols, decode_nonzeros, rooms_for, scan_in_numpy

_lanes_native = pytest.importorskip("model_store._lanes_native", reason="built without a compiler")

SHAPES = [(1, 1), (1, 40), (40, 1), (7, 9), (5, 3, 3, 2), (64, 16), (300, 11), (513, 4, 3), (2, 65_536), (2, 65_537)]
LAYOUTS = st.sampled_from([Layout.CSR, Layout.CSC])
LANE_LOG2 = 8
ANY_CODE = np.zeros(1022, np.float16)  # a codebook in which there is every code


def symbols_of(positions: np.ndarray, shape: tuple[int, ...], layout: Layout, limit: int, seed: int) -> SparseSymbols:
    scanned = np.sort(scan_positions(positions, shape, layout))
    values = np.random.default_rng(seed).integers(1, 1023, len(scanned)).astype(np.uint16)
    return SparseSymbols(shape, layout, limit, encode_gaps(scanned, limit), values)


def coded(symbols: SparseSymbols, tables: list[HuffmanTable]) -> CodedSparse:
    """Its streams, whose tables are added to those that there are."""
    streams = []
    for items in (symbols.gaps, symbols.values):
        tables.append(fit_table(np.bincount(items, minlength=1) + (not len(items))))
        streams.append(encode_stream(items, len(tables) - 1, tables[-1], LANE_LOG2))
    return CodedSparse(symbols.layout, symbols.shape, 0, symbols.gap_limit, *streams)


def natively(tensors: Sequence[SparseSymbols], threads: int = 1) -> list[Placed | None]:
    tables: list[HuffmanTable] = []
    streams = [coded(tensor, tables) for tensor in tensors]
    found = decode_nonzeros(streams, [ANY_CODE], lock_step.lookup_of(tables), LANE_LOG2, threads)
    return [found.get(at) for at in range(len(tensors))]


def order_of(symbols: SparseSymbols) -> np.ndarray:
    """Of the values, row-major."""
    scanned = scan_in_numpy(replace(symbols, layout=Layout.CSR, values=np.ones_like(symbols.values)), "here")[0]
    rows, columns = symbols.shape[0], math.prod(symbols.shape[1:])
    return np.argsort(scanned if symbols.layout is Layout.CSR else scanned % rows * columns + scanned // rows)


Outcome = tuple[object, object] | str | None


def read(placed: Placed | None) -> Outcome:
    if placed is None:
        return None
    positions, codes = placed
    assert (positions.dtype, codes.dtype) == (np.int32, np.uint16)
    return positions.tolist(), codes.tolist()


def in_numpy(symbols: SparseSymbols) -> Outcome:
    try:
        return read(scan_in_numpy(symbols, "here"))
    except MalformedBundle as error:
        return str(error)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SHAPES), LAYOUTS, st.floats(0, 1), st.integers(1, 1022), st.integers(0, 2**32 - 1))
def test_non_zeros_come_back_in_their_order_and_both_decoders_agree(
    shape: tuple[int, ...], layout: Layout, density: float, limit: int, seed: int
) -> None:
    elements = math.prod(shape)
    positions = np.flatnonzero(np.random.default_rng(seed).random(elements) < density).astype(np.int32)
    symbols = symbols_of(positions, shape, layout, limit, seed)
    (found,) = natively([symbols])
    assert read(found) == in_numpy(symbols) == (positions.tolist(), (symbols.values[order_of(symbols)] - 1).tolist())


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
    (found,), expected = natively([symbols]), in_numpy(symbols)
    assert read(found) == (None if isinstance(expected, str) else expected)


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
def test_what_the_extension_refuses_numpy_has_words_for(
    layout: Layout, gaps: list[int], values: int, message: str
) -> None:
    symbols = SparseSymbols((2, 3), layout, 3, np.array(gaps, np.uint16), np.ones(values, np.uint16))
    assert natively([symbols]) == [None]
    assert in_numpy(symbols) == message


def test_a_claim_of_many_rows_is_left_to_numpy() -> None:
    few = symbols_of(np.array([0, 5]), (2, 3), Layout.CSC, 3, 0)
    many = symbols_of(np.array([0, 9, (1 << 25) - 1]), (1 << 24, 2), Layout.CSC, 1022, 0)
    first, second, third = natively([few, many, few])
    assert read(first) == read(third) == in_numpy(few) == ([0, 5], (few.values - 1).tolist())
    assert second is None
    assert in_numpy(many) == ([0, 9, (1 << 25) - 1], (many.values[order_of(many)] - 1).tolist())


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
    placed = natively(tensors, threads)
    assert [at for at, found in enumerate(placed) if found is None] == [5]
    for at, (tensor, found) in enumerate(zip(tensors, placed, strict=True)):
        if at != 5:
            assert read(found) == in_numpy(tensor)


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
    assert natively([]) == []


ROOM = SparseSymbols((2, 3), Layout.CSC, 3, np.array([1, 3, 0], np.uint16), np.array([4, 2], np.uint16))


def test_numpy_takes_over_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_store._lanes_native", None)
    monkeypatch.setattr(lock_step, "_native", lock_step._find_decoder())
    assert lock_step._native is None
    assert natively([ROOM]) == [None]
    assert in_numpy(ROOM) == ([3, 5], [3, 1])


@pytest.mark.parametrize(
    "change",
    [
        {"lane_bits": (4,)},
        {"lane_bits": (6,)},
        {"lane_bits": (1 << 62,)},
        {"lane_bits": (-5,)},
        {"lane_bits": (2, 3)},
        {"lane_bits": ()},
        {"payload": b"\xff"},
        {"payload": b""},
        {"payload": b"\x00\x00"},
        {"count": 2},
        {"count": 4},
        {"count": 300},
        {"table": 1},
    ],
)
def test_a_stream_that_is_not_as_it_must_be_is_left_to_numpy(change: dict[str, object]) -> None:
    tables: list[HuffmanTable] = []
    tensor = coded(ROOM, tables)
    assert tensor.gaps == CodedStream(0, 3, (5,), tensor.gaps.payload)
    tensor = replace(tensor, gaps=replace(tensor.gaps, **change))
    assert decode_nonzeros([tensor], [ANY_CODE], lock_step.lookup_of(tables), LANE_LOG2) == {}


@pytest.mark.parametrize(("entries", "taken"), [(4, True), (3, False)])
def test_a_value_past_the_codebook_is_left_to_numpy(entries: int, taken: bool) -> None:
    tables: list[HuffmanTable] = []
    tensor = coded(ROOM, tables)
    found = decode_nonzeros([tensor], [ANY_CODE[:entries]], lock_step.lookup_of(tables), LANE_LOG2)
    assert read(found.get(0)) == (in_numpy(ROOM) if taken else None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1023}, "limit"),
        ({"limit": 1 << 16}, "limit"),
        ({"rows": 0}, "shape"),
        ({"columns": 0}, "shape"),
        ({"rows": 1 << 16, "columns": 1 << 16}, "shape"),
        ({"largest": 0}, "largest"),
        ({"largest": 1023}, "largest"),
        ({"count": -1}, "symbols"),
        ({"count": 1 << 31}, "symbols"),
        ({"count": 3}, "lengths differ"),
        ({"codes": 1}, "lengths differ"),
        ({"table": -1}, "table"),
        ({"table": 1}, "table"),
        ({"lane_log2": -1}, "lanes"),
        ({"lane_log2": 31}, "lanes"),
        ({"threads": 0}, "threads"),
        ({"threads": 257}, "threads"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(change: dict[str, int], message: str) -> None:
    given_ = {"limit": 3, "rows": 2, "columns": 3, "largest": 1, "count": 2, "codes": 2, "table": 0} | change
    gaps, values = (b"\x00", 0, 2, (2,)), (b"\x00", given_["table"], given_["count"], (2,))
    numbers = (given_["limit"], given_["rows"], given_["columns"], True, given_["largest"])
    tensor = (gaps, values, *numbers, np.zeros(2, np.int32), np.zeros(given_["codes"], np.uint16))
    lookup = lock_step.lookup_of([HuffmanTable((1, 1))])
    with pytest.raises(ValueError, match=message):
        lookup.nonzeros([tensor], change.get("lane_log2", 8), change.get("threads", 1))
