import functools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store import lanes as lanes_module
from model_store import lock_step as module
from model_store.errors import MalformedBundle
from model_store.huffman import NO_SYMBOL, HuffmanTable, fit_table
from model_store.lanes import CodedStream, decode_streams, encode_stream
from model_store.limits import MAX_CODE_LENGTH
from model_store.lock_step import Lanes, decode_lanes, lock_step, lookup_of, symbols_at_once, threads_for

_lanes_native = pytest.importorskip("model_store._lanes_native", reason="built without a compiler")


@functools.cache
def some_tables() -> list[HuffmanTable]:
    """Of alphabets from one symbol to all, with codes of up to the longest length among them."""
    generator = np.random.default_rng(0)
    return [
        fit_table(np.maximum(1, (10.0 ** generator.uniform(0, 6, alphabet)).astype(np.int64)))
        for alphabet in (1, 2, 9, 40, 300, 1023)
    ]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(1, 13), st.integers(1, 5))
def test_both_decoders_read_any_bits_alike(payload: bytes, seed: int, lanes: int, threads: int) -> None:
    generator = np.random.default_rng(seed)
    tables = [some_tables()[index] for index in generator.integers(0, 6, 3)]
    where = Lanes(
        generator.integers(0, 8 * len(payload) + 1, lanes),
        generator.integers(1, 400, lanes),
        generator.integers(0, 3, lanes),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SYMBOLS_A_THREAD", 1)
        native = decode_lanes(where, payload, lookup_of(tables), threads)
    lookup = np.concatenate([table.lookup() for table in tables])
    for got, expected in zip(native, lock_step(where, payload, lookup), strict=True):
        np.testing.assert_array_equal(got, expected)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.integers(8, 12))
def test_both_decoders_give_back_what_was_coded(sizes: list[int], seed: int, lane_log2: int) -> None:
    generator = np.random.default_rng(seed)
    symbols = [generator.integers(0, generator.integers(1, 200), size).astype(np.uint16) for size in sizes]
    tables = [fit_table(np.bincount(item)) for item in symbols]
    streams = [
        encode_stream(item, at, table, lane_log2) for at, (item, table) in enumerate(zip(symbols, tables, strict=True))
    ]
    for native in (module._native, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_native", native)
            decoded = decode_streams(streams, lookup_of(tables), lane_log2, ["here"] * len(streams))
        assert [item.tolist() for item in decoded] == [item.tolist() for item in symbols]


@pytest.mark.parametrize("native", [module._native, None], ids=["native", "numpy"])
@pytest.mark.parametrize(
    ("stream", "lengths", "message"),
    [
        (CodedStream(0, 4, (5,), bytes([0b11001000])), (1, 2, 2), "here: the codes do not end where their lane ends"),
        (CodedStream(0, 9, (8,), bytes([0])), (1, 2, 2), "here: the codes do not end where their lane ends"),
        (CodedStream(0, 4, (4,), bytes([0b00100000])), (1,), "here: holds a code that its Huffman table lacks"),
        (CodedStream(0, 4, (6,), bytes([0b11001001])), (1, 2, 2), "here: padding bits 0b1, must be zero"),
    ],
)
def test_both_decoders_refuse_alike(
    monkeypatch: pytest.MonkeyPatch, native: object, stream: CodedStream, lengths: tuple[int, ...], message: str
) -> None:
    monkeypatch.setattr(module, "_native", native)
    with pytest.raises(MalformedBundle) as caught:
        decode_streams([stream], lookup_of([HuffmanTable(lengths)]), 8, ["here"])
    assert str(caught.value) == message


def test_both_decoders_know_the_longest_code_and_what_is_no_symbol() -> None:
    assert _lanes_native.CODE_BITS == MAX_CODE_LENGTH
    assert _lanes_native.NO_SYMBOL == NO_SYMBOL


def native_decode(*numbers: np.ndarray, symbols: int = 0, threads: int = 1) -> None:
    """A byte by one table: one lane from bit 0 on, where starts, counts and tables do not say otherwise."""
    none = np.zeros(1, np.int64)
    arrays = numbers or (none, none, none)
    out, ends = np.zeros(symbols, np.uint16), np.zeros(1, np.int64)
    _lanes_native.decode(np.zeros(1, np.uint8), lookup_of([HuffmanTable((1, 1))]), *arrays, out, ends, threads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": [9]}, "start"),
        ({"starts": [-1]}, "start"),
        ({"counts": [-1]}, "count"),
        ({"counts": [3]}, "count"),
        ({"counts": [1]}, "symbols"),
        ({"tables": [1]}, "table"),
        ({"tables": [-1]}, "table"),
        ({"starts": [0, 0]}, "lengths differ|ends"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(change: dict[str, list[int]], message: str) -> None:
    arrays = {"starts": [0], "counts": [2], "tables": [0]} | change
    numbers = [np.array(values, dtype=np.int64) for values in arrays.values()]
    with pytest.raises(ValueError, match=message):
        native_decode(*numbers, symbols=2)


@pytest.mark.parametrize(
    ("lengths", "alphabets", "message"),
    [
        ([13, 1], [2], "code length"),
        ([1, 1, 1], [3], "code lengths"),
        ([1, 2, 2, *[12] * 2], [5], "code lengths"),
        ([1] * 1024, [1024], "alphabet"),
        ([1, 1], [3], "lengths"),
        ([1, 1], [1, 2], "lengths"),
        ([1, 1], [-1], "lengths"),
    ],
)
def test_the_extension_refuses_lengths_that_make_no_table(
    lengths: list[int], alphabets: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _lanes_native.Tables(np.array(lengths, np.uint8), alphabets)


@pytest.mark.parametrize("threads", [0, 257])
def test_the_extension_refuses_a_wrong_number_of_threads(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        native_decode(threads=threads)


@pytest.mark.parametrize(
    ("symbols", "threads", "expected"),
    [(0, 4, 1), (1 << 17, 1, 1), (1 << 17, 4, 2), (1 << 20, 4, 4), (1 << 30, 99, 64)],
)
def test_few_symbols_are_not_worth_many_threads(symbols: int, threads: int, expected: int) -> None:
    assert threads_for(symbols, threads) == expected


def test_numpy_decodes_all_lanes_at_once_and_the_extension_what_the_cache_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 1 << 17 <= 2 * symbols_at_once(1) == symbols_at_once(2) <= 1 << 21
    monkeypatch.setattr(module, "_native", None)
    assert symbols_at_once(1) == sys.maxsize


def test_numpy_takes_over_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_store._lanes_native", None)
    monkeypatch.setattr(module, "_native", module._find_decoder())
    assert module._native is None
    stream = encode_stream(np.array([2, 0, 0, 1], np.uint16), 0, HuffmanTable((1, 2, 2)), 8)
    assert lanes_module.decode_streams([stream], lookup_of([HuffmanTable((1, 2, 2))]), 8, ["here"])[0].tolist() == [
        2,
        0,
        0,
        1,
    ]
