"""Decoding in C++ (model_store/native)."""

import numpy as np
import numpy.typing as npt

CODE_BITS: int
NO_SYMBOL: int

class Tables:
    """Huffman tables, by the code lengths of so many symbols each. Raises ValueError where they make none."""

    def __init__(self, lengths: npt.NDArray[np.uint8], alphabets: list[int], /) -> None: ...

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

_U16 = npt.NDArray[np.uint16]
_I32 = npt.NDArray[np.int32]

def place(tensors: list[tuple[_U16, _U16, int, int, int, bool, _I32, _U16]], threads: int, /) -> list[int]:
    """Positions and codes of tensors: (gaps, values, gap limit, rows, columns, by columns, positions, codes) each.

    The last two are filled in, and 1 returned; 0 where the gaps do not give as many inside the matrix.
    """

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
