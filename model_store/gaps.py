"""Relative indices: where the non-zeros stand, as runs of zeros before each (Han et al. 2016, section 2).

A gap g is `g // limit` escapes, symbol `limit`, and then the symbol `g % limit`. An escape skips `limit` zeros and,
unlike Deep Compression's filler zero, takes no weight code with it.
"""

import numpy as np

from model_store.errors import MalformedBundle


def encode_gaps(positions: np.ndarray, limit: int) -> np.ndarray:
    """Gap symbols uint16 of strictly increasing int64 positions."""
    gaps = np.diff(positions, prepend=-1) - 1
    escapes = gaps // limit
    ends = np.cumsum(escapes + 1) - 1
    symbols = np.full(int(ends[-1]) + 1 if len(ends) else 0, limit, dtype=np.uint16)
    symbols[ends] = gaps % limit
    return symbols


def gap_histogram(positions: np.ndarray, limit: int) -> np.ndarray:
    """Counts int64 [limit + 1] of the symbols that `encode_gaps` would give."""
    gaps = np.diff(positions, prepend=-1) - 1
    counts = np.bincount(gaps % limit, minlength=limit + 1)
    counts[limit] = int((gaps // limit).sum())
    return counts


def decode_gaps(symbols: np.ndarray, limit: int, count: int, elements: int, place: str) -> np.ndarray:
    """Positions int64 [count] below `elements`.

    Raises:
        MalformedBundle: a symbol is out of range, the stream does not hold `count` positions, ends in an escape, or
            leaves the tensor.
    """
    if len(symbols) and int(symbols.max()) > limit:
        raise MalformedBundle(f"{place}: gap symbol {int(symbols.max())}, must be <= {limit}")
    literal = symbols != limit
    found = int(np.count_nonzero(literal))
    if found != count or (len(symbols) and not literal[-1]):
        raise MalformedBundle(f"{place}: {found} positions, must be {count}, the last symbol one of them")
    ends = symbols.astype(np.int64)  # added up in place: this is the largest array of a decoder
    ends += literal
    np.cumsum(ends, out=ends)
    positions: np.ndarray = ends[literal]
    positions -= 1
    if count and int(positions[-1]) >= elements:
        raise MalformedBundle(f"{place}: position {int(positions[-1])}, must be < {elements}")
    return positions
