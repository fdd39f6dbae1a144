"""Symbol streams cut into lanes of equal symbol count, so that many lanes decode in lock step.

A stream of n symbols has ceil(n / S) lanes of S symbols (the last may be shorter), their codes packed without a gap,
most significant bit first, and zero bits up to the next byte. S is a power of two, one for the whole bundle. Every lane
of every stream advances by one symbol a step, so numpy pays S steps for any number of lanes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_store.errors import MalformedBundle
from model_store.huffman import NO_SYMBOL, HuffmanTable, encode_symbols
from model_store.limits import MAX_CODE_LENGTH


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
    payload: bytes


def lane_counts(count: int, lane_log2: int) -> np.ndarray:
    """Symbols of each lane, int64 [lanes], of a stream of `count` symbols."""
    size = 1 << lane_log2
    full, rest = divmod(count, size)
    return np.array([size] * full + [rest] * (rest > 0), dtype=np.int64)


def encode_stream(symbols: np.ndarray, index: int, table: HuffmanTable, lane_log2: int) -> CodedStream:
    """Code `symbols` with `table`, which is the bundle's table number `index`."""
    payload = encode_symbols(symbols, table).tobytes()
    lengths = np.array(table.lengths, dtype=np.int64)[symbols]
    starts = np.arange(0, len(symbols), 1 << lane_log2)
    lane_bits = np.add.reduceat(lengths, starts) if len(symbols) else np.zeros(0, np.int64)
    return CodedStream(index, len(symbols), tuple(lane_bits.tolist()), payload)


def decode_streams(
    streams: Sequence[CodedStream], tables: Sequence[HuffmanTable], lane_log2: int, places: Sequence[str]
) -> list[np.ndarray]:
    """Decode all streams at once into uint16 arrays of their symbols.

    Memory is bounded by the payload: every symbol takes a bit or more.

    Raises:
        MalformedBundle: a lane does not consume exactly its bits, holds a code that the table lacks, or padding is not
            zero. `places` name the streams.
    """
    if not streams:
        return []
    for stream, place in zip(streams, places, strict=True):
        _check_padding(stream, place)
    lanes = _Lanes(streams, lane_log2)
    symbols, ends = _lock_step(lanes, b"".join(stream.payload for stream in streams), tables)
    decoded = []
    for number, (stream, place) in enumerate(zip(streams, places, strict=True)):
        mine = slice(lanes.first[number], lanes.first[number + 1])
        if not np.array_equal(ends[mine], lanes.ends[mine]):
            raise MalformedBundle(f"{place}: the codes do not end where their lane ends")
        parts = [symbols[lanes.rows[: lanes.counts[lane]] + lanes.rank[lane]] for lane in range(mine.start, mine.stop)]
        values = np.concatenate(parts) if parts else np.zeros(0, np.uint16)
        if stream.count and int(values.max()) == NO_SYMBOL:
            raise MalformedBundle(f"{place}: holds a code that its Huffman table lacks")
        decoded.append(values)
    return decoded


def _check_padding(stream: CodedStream, place: str) -> None:
    padding = -sum(stream.lane_bits) % 8
    if padding and stream.payload[-1] & ((1 << padding) - 1):
        raise MalformedBundle(f"{place}: padding bits {stream.payload[-1] & ((1 << padding) - 1):#b}, must be zero")


class _Lanes:
    """Where every lane starts and ends in the joined payload, and where its symbols go in the joined output.

    Lanes are ranked by falling symbol count, so that those still running at a step are a prefix, and the output of one
    step is one contiguous row.
    """

    def __init__(self, streams: Sequence[CodedStream], lane_log2: int) -> None:
        counts = [lane_counts(stream.count, lane_log2) for stream in streams]
        self.first = np.concatenate([[0], np.cumsum([len(c) for c in counts])])
        self.counts = np.concatenate(counts)
        bits = [np.array(stream.lane_bits, dtype=np.int64) for stream in streams]
        bases = np.cumsum([0, *(8 * len(stream.payload) for stream in streams)])
        self.ends = np.concatenate([base + np.cumsum(b) for base, b in zip(bases[:-1], bits, strict=True)])
        self.starts = self.ends - np.concatenate(bits)
        self.tables = np.repeat([stream.table for stream in streams], [len(c) for c in counts])
        self.order = np.argsort(-self.counts, kind="stable")
        self.rank = np.empty_like(self.order)
        self.rank[self.order] = np.arange(len(self.order))
        steps = int(self.counts.max()) if len(self.counts) else 0
        self.running = np.searchsorted(-self.counts[self.order], -np.arange(steps), side="left")
        self.rows = np.cumsum(self.running) - self.running


def _lock_step(lanes: _Lanes, payload: bytes, tables: Sequence[HuffmanTable]) -> tuple[np.ndarray, np.ndarray]:
    """(all symbols, step by step; end position in bits of every lane)."""
    lookup = np.concatenate([table.lookup() for table in tables])
    windows = _windows(payload)
    output = np.empty(int(lanes.running.sum()), dtype=np.uint16)
    position = lanes.starts[lanes.order]
    base = lanes.tables[lanes.order] << MAX_CODE_LENGTH
    mask = (1 << MAX_CODE_LENGTH) - 1
    for row, running in zip(lanes.rows.tolist(), lanes.running.tolist(), strict=True):
        here = position[:running]
        bits = windows.take(here >> 3, mode="clip") >> (24 - MAX_CODE_LENGTH - (here & 7))
        entries = lookup.take((bits & mask) + base[:running])
        output[row : row + running] = entries >> 4
        here += entries & 15
    ends = np.empty_like(position)
    ends[lanes.order] = position
    return output, ends


def _windows(payload: bytes) -> np.ndarray:
    """The 24 bits from every byte on, uint32 [bytes + 1]: a code and its bit offset in one look."""
    padded = np.frombuffer(payload + b"\0\0\0", dtype=np.uint8)
    windows = padded[:-2].astype(np.uint32)
    for following in (padded[1:-1], padded[2:]):
        windows <<= 8
        windows |= following
    return windows


def payload_size(lane_bits: Sequence[int]) -> int:
    """Bytes of a stream's payload."""
    return (sum(lane_bits) + 7) // 8
