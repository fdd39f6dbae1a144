"""Decoding in C++ (model_store/native)."""

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

def place(
    gaps: npt.NDArray[np.uint16],
    values: npt.NDArray[np.uint16],
    limit: int,
    rows: int,
    columns: int,
    by_columns: bool,
    positions: npt.NDArray[np.int64],
    codes: npt.NDArray[np.uint16],
    /,
) -> bool:
    """Fill `positions` and `codes`, or return False where the gaps do not give as many inside the matrix."""

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
) -> tuple[int, int, npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Decode a tensor of (filters, channels, taps, taps of a row); what was learnt is changed in place.

    Returns:
        (0 done, 1 a stream ends early, 2 one goes on, 3 a value is past the codebook; that value; positions; codes).
    """
