from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.errors import MalformedBundle
from model_store.huffman import HuffmanTable, fit_table
from model_store.lanes import CodedStream, decode_streams, encode_stream, lane_counts, payload_size
from model_store.lock_step import lookup_of

SKEWED = HuffmanTable((1, 2, 3, 3))


def draw(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(4, count, p=[0.5, 0.25, 0.125, 0.125]).astype(np.uint16)


def decode_one(stream: CodedStream, table: HuffmanTable = SKEWED, lane_log2: int = 8) -> list[int]:
    return [int(symbol) for symbol in decode_streams([stream], lookup_of([table]), lane_log2, ["here"])[0]]


@pytest.mark.parametrize("lane_log2", [8, 9, 12])
def test_streams_of_every_size_around_a_lane_round_trip(lane_log2: int) -> None:
    lane = 1 << lane_log2
    for count in (1, 2, lane - 1, lane, lane + 1, 2 * lane - 1, 2 * lane, 2 * lane + 1, 5 * lane + 3):
        symbols = draw(count, count)
        stream = encode_stream(symbols, 0, SKEWED, lane_log2)
        assert len(stream.lane_bits) == -(-count // lane)
        assert len(stream.payload) == payload_size(stream.lane_bits)
        assert decode_one(stream, lane_log2=lane_log2) == symbols.tolist()


def test_every_count_up_to_three_lanes_round_trips() -> None:
    symbols = draw(3 * 256)
    for count in range(1, len(symbols) + 1, 7):
        assert decode_one(encode_stream(symbols[:count], 0, SKEWED, 8)) == symbols[:count].tolist()


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1000), max_size=6), st.integers(0, 2**32 - 1), st.integers(8, 12))
def test_many_streams_of_many_tables_decode_together(sizes: list[int], seed: int, lane_log2: int) -> None:
    generator = np.random.default_rng(seed)
    symbols = [generator.integers(0, generator.integers(1, 1024), size).astype(np.uint16) for size in sizes if size]
    tables = [fit_table(np.bincount(item)) for item in symbols]
    streams = [
        encode_stream(item, at, table, lane_log2) for at, (item, table) in enumerate(zip(symbols, tables, strict=True))
    ]
    decoded = decode_streams(streams, lookup_of(tables), lane_log2, ["here"] * len(streams))
    assert [item.tolist() for item in decoded] == [item.tolist() for item in symbols]


def test_no_streams_give_no_arrays() -> None:
    assert decode_streams([], lookup_of([SKEWED]), 8, []) == []


def test_a_stream_without_symbols_has_no_lanes() -> None:
    stream = encode_stream(np.zeros(0, np.uint16), 0, SKEWED, 8)
    assert stream == CodedStream(0, 0, (), b"")
    assert lane_counts(0, 8) == []


def test_bits_are_packed_from_the_highest() -> None:
    stream = encode_stream(np.array([2, 0, 0, 1], np.uint16), 0, HuffmanTable((1, 2, 2)), 8)
    assert stream == CodedStream(0, 4, (6,), bytes([0b11001000]))


def test_lanes_follow_one_another_without_a_gap() -> None:
    stream = encode_stream(np.array([1] * 255 + [0] + [1], np.uint16), 0, HuffmanTable((1, 2, 2)), 8)
    assert stream.lane_bits == (511, 2)
    assert len(stream.payload) == 65
    assert decode_one(stream, HuffmanTable((1, 2, 2)))[-2:] == [0, 1]


@pytest.mark.parametrize("padding", [0b1, 0b10, 0b11])
def test_padding_that_is_not_0_is_refused(padding: int) -> None:
    stream = CodedStream(0, 4, (6,), bytes([0b11001000 | padding]))
    with pytest.raises(MalformedBundle, match=rf"^here: padding bits {padding:#b}, must be zero$"):
        decode_one(stream, HuffmanTable((1, 2, 2)))


def changed_lanes(lane_bits: Sequence[int]) -> CodedStream:
    good = encode_stream(np.zeros(300, np.uint16), 0, SKEWED, 8)
    assert good.lane_bits == (256, 44)
    return CodedStream(0, 300, tuple(lane_bits), good.payload[: payload_size(lane_bits)])


@pytest.mark.parametrize("lane_bits", [(255, 45), (257, 43), (256, 43), (256, 45), (250, 50)])
def test_a_lane_that_is_a_bit_short_or_long_is_refused(lane_bits: tuple[int, int]) -> None:
    with pytest.raises(MalformedBundle, match=r"^here: the codes do not end where their lane ends$"):
        decode_one(changed_lanes(lane_bits))


def test_a_code_that_runs_over_the_end_of_the_payload_is_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^here: the codes do not end where their lane ends$"):
        decode_one(CodedStream(0, 8, (8,), b"\xff"))


def test_a_code_of_the_unused_half_is_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^here: holds a code that its Huffman table lacks$"):
        decode_one(CodedStream(0, 8, (8,), b"\x10"), HuffmanTable((0, 0, 1)))


def test_the_stream_at_fault_is_named() -> None:
    good = encode_stream(draw(10), 0, SKEWED, 8)
    bad = CodedStream(0, 8, (8,), b"\xff")
    with pytest.raises(MalformedBundle, match=r"^second: the codes do not end where their lane ends$"):
        decode_streams([good, bad, good], lookup_of([SKEWED]), 8, ["first", "second", "third"])


def test_a_symbol_past_the_table_cannot_be_written() -> None:
    with pytest.raises(MalformedBundle, match=r"^Huffman table: a symbol has no code"):
        encode_stream(np.array([9], np.uint16), 0, SKEWED, 8)
