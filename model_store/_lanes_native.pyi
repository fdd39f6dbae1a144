"""Huffman decoding in C++ (model_store/native)."""

import numpy as np
import numpy.typing as npt

CODE_BITS: int

def decode(
    payload: npt.NDArray[np.uint8],
    lookup: npt.NDArray[np.uint16],
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    tables: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.uint16],
    ends: npt.NDArray[np.int64],
    /,
) -> None:
    """Fill `symbols`, lane after lane, and `ends`. Raises ValueError where sizes do not fit each other."""
