"""Many lanes of Huffman codes decoded side by side: in C++ where the extension was built, in numpy elsewhere.

In numpy every lane advances by one symbol a step, so that S steps decode any number of lanes of S symbols.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Union

import numpy as np

from model_store.huffman import HuffmanTable
from model_store.limits import MAX_CODE_LENGTH

if TYPE_CHECKING:
    from model_store._lanes_native import Tables

Lookup = Union["Tables", np.ndarray]


def _find_decoder() -> ModuleType | None:
    try:
        import model_store._lanes_native as native
    except ImportError:  # built without a compiler
        return None
    return native


_native = _find_decoder()

_SYMBOLS_A_THREAD = 1 << 16
_SYMBOLS_IN_CACHE = 1 << 18  # of 2 bytes, beside what is made of them
_MOST_THREADS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """Where lanes lie in a payload: int64 [lanes] each.

    Attributes:
        starts: the first bit.
        counts: symbols, the last being as many as are left.
        tables: which Huffman table.
    """

    starts: np.ndarray
    counts: np.ndarray
    tables: np.ndarray


def lookup_of(tables: Sequence[HuffmanTable]) -> Lookup:
    """What `decode_lanes` looks codes up in: made once for all lanes of a bundle."""
    if _native is None:
        found: np.ndarray = np.concatenate([np.zeros(0, dtype=np.uint16), *(table.lookup() for table in tables)])
        return found
    lengths = np.frombuffer(b"".join(bytes(table.lengths) for table in tables), dtype=np.uint8)
    made: Tables = _native.Tables(lengths, [len(table.lengths) for table in tables])
    return made


def symbols_at_once(threads: int) -> int:
    """How many symbols are best decoded before others are: numpy wants as many lanes as there are, C++ symbols that are
    still in the cache, and in memory that was used before, when something is made of them."""
    return sys.maxsize if _native is None else threads * _SYMBOLS_IN_CACHE


def decode_lanes(lanes: Lanes, payload: bytes, lookup: Lookup, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Decode lanes, whatever bits they hold: behind its end the payload reads as zeros.

    Args:
        lookup: of the tables that `Lanes.tables` counts.
        threads: that share the lanes, where they are worth it.

    Returns:
        The symbols uint16 of all lanes, one after the other, and the bit int64 behind the last one of each.
    """
    if isinstance(lookup, np.ndarray):
        return lock_step(lanes, payload, lookup)
    assert _native is not None
    symbols = np.empty(int(lanes.counts.sum()), dtype=np.uint16)
    ends = np.empty_like(lanes.starts)
    data = np.frombuffer(payload, dtype=np.uint8)
    sharing = threads_for(len(symbols), threads)
    _native.decode(data, lookup, lanes.starts, lanes.counts, lanes.tables, symbols, ends, sharing)
    return symbols, ends


def threads_for(symbols: int, threads: int) -> int:
    """How many of some threads so many symbols are worth: to begin one takes as long as some ten thousand of them."""
    return max(1, min(threads, _MOST_THREADS, symbols // _SYMBOLS_A_THREAD))


def lock_step(lanes: Lanes, payload: bytes, lookup: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same in numpy, of `lookup` uint16 [tables * 2**MAX_CODE_LENGTH]: `HuffmanTable.lookup` of each table.

    Lanes are ranked by falling symbol count, so that those still running at a step are a prefix, and the output of one
    step is one contiguous row.
    """
    order = np.argsort(-lanes.counts, kind="stable")
    counts = lanes.counts[order]
    running = np.searchsorted(-counts, -np.arange(int(counts.max())), side="left")
    rows = np.cumsum(running) - running
    windows = _windows(payload)
    output = np.empty(int(running.sum()), dtype=np.uint16)
    position = lanes.starts[order]
    base = lanes.tables[order] << MAX_CODE_LENGTH
    mask = (1 << MAX_CODE_LENGTH) - 1
    for row, count in zip(rows.tolist(), running.tolist(), strict=True):
        here = position[:count]
        bits = windows.take(here >> 3, mode="clip") >> (24 - MAX_CODE_LENGTH - (here & 7))
        entries = lookup.take((bits & mask) + base[:count])
        output[row : row + count] = entries >> 4
        here += entries & 15
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    symbols = [output[rows[:count] + rank[lane]] for lane, count in enumerate(lanes.counts.tolist())]
    return np.concatenate(symbols), position[rank]


def _windows(payload: bytes) -> np.ndarray:
    """The 24 bits from every byte on, uint32 [bytes + 1]: a code and its bit offset in one look."""
    padded = np.frombuffer(payload + b"\0\0\0", dtype=np.uint8)
    windows = padded[:-2].astype(np.uint32)
    for following in (padded[1:-1], padded[2:]):
        windows <<= 8
        windows |= following
    return windows
