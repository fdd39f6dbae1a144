"""Symbol streams cut into lanes of equal symbol count, so that many lanes decode in lock step.

A stream of n symbols has ceil(n / S) lanes of S symbols (the last may be shorter), their codes packed without a gap,
most significant bit first, and zero bits up to the next byte. S is a power of two, one for the whole bundle.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_store.errors import MalformedBundle
from model_store.huffman import NO_SYMBOL, HuffmanTable, encode_symbols
from model_store.lock_step import Lanes, Lookup, decode_lanes


@dataclass(frozen=True, slots=True)
class CodedStream:
    """One stream as it stands in the file.

    Attributes:
        table: index of its Huffman table.
        count: its symbols.
        lane_bits: bits of each lane.
        payload: the packed codes, `ceil(sum(lane_bits) / 8)` bytes, unused bits zero.
    """

    table: int
    count: int
    lane_bits: tuple[int, ...]
    payload: bytes | memoryview


def lane_counts(count: int, lane_log2: int) -> list[int]:
    """Symbols of each lane of a stream of `count` symbols."""
    size = 1 << lane_log2
    full, rest = divmod(count, size)
    return [size] * full + [rest] * (rest > 0)


def encode_stream(symbols: np.ndarray, index: int, table: HuffmanTable, lane_log2: int) -> CodedStream:
    """Code `symbols` with `table`, which is the bundle's table number `index`."""
    payload = encode_symbols(symbols, table).tobytes()
    lengths = np.array(table.lengths, dtype=np.int64)[symbols]
    starts = np.arange(0, len(symbols), 1 << lane_log2)
    lane_bits = np.add.reduceat(lengths, starts) if len(symbols) else np.zeros(0, np.int64)
    return CodedStream(index, len(symbols), tuple(lane_bits.tolist()), payload)


def decode_streams(
    streams: Sequence[CodedStream],
    lookup: Lookup,
    lane_log2: int,
    places: Sequence[str],
    threads: int = 1,
) -> list[np.ndarray]:
    """Decode all streams at once into uint16 arrays of their symbols; `lookup` is of the bundle's tables.

    Memory is bounded by the payload: every symbol takes a bit or more.

    Raises:
        MalformedBundle: a lane does not consume exactly its bits, holds a code that the table lacks, or padding is not
            zero. `places` name the streams.
    """
    if not streams:
        return []
    for stream, place in zip(streams, places, strict=True):
        check_padding(stream, place)
    lanes, ends = locate_lanes(streams, lane_log2)
    symbols, reached = decode_lanes(lanes, b"".join(stream.payload for stream in streams), lookup, threads)
    decoded = split_by(symbols, [stream.count for stream in streams])
    if not np.array_equal(reached, ends) or int(symbols.max(initial=0)) == NO_SYMBOL:
        _say_what_is_wrong(decoded, split_by(reached == ends, [len(stream.lane_bits) for stream in streams]), places)
    return decoded


def split_by(array: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Views of so many elements each, one after the other."""
    ends = itertools.accumulate(counts)
    return [array[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _say_what_is_wrong(decoded: Sequence[np.ndarray], ended: Sequence[np.ndarray], places: Sequence[str]) -> None:
    for values, right, place in zip(decoded, ended, places, strict=True):
        if not right.all():
            raise MalformedBundle(f"{place}: the codes do not end where their lane ends")
        if int(values.max(initial=0)) == NO_SYMBOL:
            raise MalformedBundle(f"{place}: holds a code that its Huffman table lacks")


def check_padding(stream: CodedStream, place: str) -> None:
    """Refuse a stream whose unused bits are not zero.

    Raises:
        MalformedBundle: they are not.
    """
    padding = -sum(stream.lane_bits) % 8
    if padding and stream.payload[-1] & ((1 << padding) - 1):
        raise MalformedBundle(f"{place}: padding bits {stream.payload[-1] & ((1 << padding) - 1):#b}, must be zero")


def locate_lanes(streams: Sequence[CodedStream], lane_log2: int) -> tuple[Lanes, np.ndarray]:
    """All lanes in the joined payload, of streams that have some, and the bit int64 [lanes] that each must end at."""
    starts: list[int] = []
    ends: list[int] = []
    counts: list[int] = []
    tables: list[int] = []
    base = 0
    for stream in streams:
        reached = list(itertools.accumulate(stream.lane_bits, initial=base))
        starts += reached[:-1]
        ends += reached[1:]
        counts += lane_counts(stream.count, lane_log2)
        tables += [stream.table] * len(stream.lane_bits)
        base += 8 * len(stream.payload)
    lanes = np.array([starts, counts, tables, ends], dtype=np.int64)
    return Lanes(*lanes[:3]), lanes[3]


def payload_size(lane_bits: Sequence[int]) -> int:
    """Bytes of a stream's payload."""
    return (sum(lane_bits) + 7) // 8
