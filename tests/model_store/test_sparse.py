import re
from typing import Any

import numpy as np
import pytest

from model_store.errors import MalformedBundle
from model_store.sparse import CsrMatrix

GOOD: dict[str, Any] = {
    "shape": (3, 4),
    "indptr": np.array([0, 2, 2, 4], np.int64),
    "indices": np.array([0, 3, 0, 1], np.int32),
    "values": np.array([1, -2, 0.5, 3], np.float32),
}


def test_a_sound_matrix_is_accepted() -> None:
    assert CsrMatrix(**GOOD).nbytes == 4 * 8 + 4 * 4 + 4 * 4


def test_a_matrix_may_be_empty_and_rows_may_be_too() -> None:
    empty = np.zeros(0, np.int32), np.zeros(0, np.float32)
    assert CsrMatrix((2, 2), np.zeros(3, np.int64), *empty).nbytes == 24
    CsrMatrix((3, 2), np.array([0, 0, 0, 1], np.int64), np.array([1], np.int32), np.ones(1, np.float32))
    CsrMatrix((3, 2), np.array([0, 1, 1, 1], np.int64), np.array([1], np.int32), np.ones(1, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (0, 4)}, "CSR: shape (0, 4), must be positive, with int32 columns"),
        ({"shape": (3, -1)}, "CSR: shape (3, -1), must be positive, with int32 columns"),
        ({"shape": (3, 1 << 31)}, "CSR: shape (3, 2147483648), must be positive, with int32 columns"),
        ({"indptr": np.array([0, 2, 2, 4], np.int32)}, "CSR: indptr is int32 of rank 1, must be int64"),
        ({"indices": np.array([[0, 3, 0, 1]], np.int32)}, "CSR: indices is int32 of rank 2, must be int32"),
        ({"indices": np.array([0, 3, 0, 1], np.int64)}, "CSR: indices is int64 of rank 1, must be int32"),
        ({"values": np.ones(4)}, "CSR: values are float64 (4,), must be float32 an index"),
        ({"values": np.ones(3, np.float32)}, "CSR: values are float32 (3,), must be float32 an index"),
        ({"indptr": np.array([0, 2, 4], np.int64)}, "CSR: indptr of 3, must be 4, from 0 to 4"),
        ({"indptr": np.array([1, 2, 2, 4], np.int64)}, "CSR: indptr of 4, must be 4, from 0 to 4"),
        ({"indptr": np.array([0, 2, 2, 3], np.int64)}, "CSR: indptr of 4, must be 4, from 0 to 4"),
        ({"indptr": np.zeros(0, np.int64)}, "CSR: indptr of 0, must be 4, from 0 to 4"),
        ({"indptr": np.array([0, 3, 2, 4], np.int64)}, "CSR: indptr[2] = 2, must be >= 3"),
        ({"indptr": np.array([0, -1, 2, 4], np.int64)}, "CSR: indptr[1] = -1, must be >= 0"),
        (
            {"indptr": np.array([0, 2**62 + 1, -(2**62) - 1, 4], np.int64)},
            f"CSR: indptr[2] = {-(2**62) - 1}, must be >= {2**62 + 1}",
        ),
        ({"indices": np.array([0, 4, 0, 1], np.int32)}, "CSR: indices[1] = 4, must be in 0..3"),
        ({"indices": np.array([0, 3, -1, 1], np.int32)}, "CSR: indices[2] = -1, must be in 0..3"),
        ({"indices": np.array([0, 3, 0, 2**31 - 1], np.int32)}, "CSR: indices[3] = 2147483647, must be in 0..3"),
        ({"indices": np.array([0, 3, 1, 1], np.int32)}, "CSR: indices[3] = 1, must be > 1"),
        ({"indices": np.array([3, 0, 0, 1], np.int32)}, "CSR: indices[1] = 0, must be > 3"),
        ({"values": np.array([1, np.nan, 1, 1], np.float32)}, "CSR: a value is not finite, must be"),
        ({"values": np.array([1, 1, np.inf, 1], np.float32)}, "CSR: a value is not finite, must be"),
    ],
)
def test_every_broken_invariant_is_named_with_its_position(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        CsrMatrix(**{**GOOD, **change})
