"""Decoding in C++ (model_store/native)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

CODE_BITS: int
NO_SYMBOL: int

_U16 = npt.NDArray[np.uint16]
_I32 = npt.NDArray[np.int32]

ToRead = tuple[bytes | memoryview, int, int, Sequence[int]]
"""A stream: (payload, table, symbols, bits of each lane)."""

ToDecode = tuple[ToRead, ToRead, int, int, int, bool, int, _I32, _U16]
"""A tensor: (gaps, values, gap limit, rows, columns, by columns, largest value symbol, positions, codes)."""

class Tables:
    """Huffman tables, by the code lengths of so many symbols each. Raises ValueError where they make none."""

    def __init__(self, lengths: npt.NDArray[np.uint8], alphabets: list[int], /) -> None: ...
    def nonzeros(self, tensors: list[ToDecode], lane_log2: int, threads: int, /) -> list[int]:
        """Positions and codes of tensors are filled in, and 1 returned; 0 where a stream is not as it must be.

        Raises ValueError where sizes do not fit each other.
        """

def decode(
    payload: npt.NDArray[np.uint8],
    lookup: Tables,
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    tables: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.uint16],
    ends: npt.NDArray[np.int64],
    threads: int,
    /,
) -> None:
    """Fill `symbols`, lane after lane, and `ends`. Raises ValueError where sizes do not fit each other."""

def contexts(
    shape: tuple[int, int, int, int],
    classes: npt.NDArray[np.uint8],
    depth: int,
    mask: bytes,
    values: bytes,
    mask_probabilities: npt.NDArray[np.uint16],
    mask_counts: npt.NDArray[np.uint8],
    value_probabilities: npt.NDArray[np.uint16],
    value_counts: npt.NDArray[np.uint8],
    /,
) -> tuple[int, int, npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
    """Decode a tensor of (filters, channels, taps, taps of a row); what was learnt is changed in place.

    Returns:
        (0 done, 1 a stream ends early, 2 one goes on, 3 a value is past the codebook; that value; positions; codes).
    """
