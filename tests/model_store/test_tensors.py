import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import BundleError, BundleTooLarge, MalformedBundle
from model_store.tensors import FloatTensor, SharedTensor, check_shape
from tests.model_store.examples import random_shared

GOOD: dict[str, Any] = {
    "shape": (2, 3),
    "positions": np.array([0, 4], np.int32),
    "codes": np.array([1, 0], np.uint16),
    "codebook": np.array([-1, 0.5], np.float16),
}


def test_a_shared_tensor_becomes_dense() -> None:
    tensor = SharedTensor(**GOOD)
    assert tensor.to_dense().dtype == np.float32
    assert tensor.to_dense().tolist() == [[0.5, 0, 0], [0, -1, 0]]
    assert tensor.nonzeros == 2


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 1), (5, 7), (4, 3, 3, 3), (8, 1, 1, 5)]), st.floats(0, 1))
def test_csr_holds_what_dense_holds(seed: int, shape: tuple[int, ...], density: float) -> None:
    tensor = random_shared(np.random.default_rng(seed), shape, density)
    matrix = tensor.to_csr()
    dense = np.zeros(matrix.shape, np.float32)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    dense[rows, matrix.indices] = matrix.values
    assert np.array_equal(dense.reshape(shape), tensor.to_dense())


def test_an_empty_shared_tensor_is_all_zeros() -> None:
    nothing = {"positions": np.zeros(0, np.int32), "codes": np.zeros(0, np.uint16)}
    tensor = SharedTensor(**{**GOOD, **nothing})
    assert not tensor.to_dense().any()
    assert tensor.to_csr().indptr.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (6,)}, "shared tensor: shape (6,), must have rank 2 or more"),
        ({"positions": np.array([0, 4], np.int64)}, "shared tensor: positions int64, codes uint16"),
        ({"codes": np.array([0, 4], np.int64)}, "shared tensor: positions int32, codes int64"),
        ({"codes": np.zeros(3, np.uint16)}, "shared tensor: (2,) positions, (3,) codes"),
        ({"positions": np.array([4, 0], np.int32)}, "shared tensor: positions must rise strictly within 0..5"),
        ({"positions": np.array([4, 4], np.int32)}, "shared tensor: positions must rise strictly within 0..5"),
        ({"positions": np.array([-1, 4], np.int32)}, "shared tensor: positions must rise strictly within 0..5"),
        ({"positions": np.array([0, 6], np.int32)}, "shared tensor: positions must rise strictly within 0..5"),
        ({"codes": np.array([0, 2], np.uint16)}, "shared tensor: code 2, must be < 2"),
        (
            {"codebook": np.array([-1, 0.5], np.float32)},
            "shared tensor: codebook is float32 of rank 1, must be float16, rank 1",
        ),
        (
            {"codebook": np.array([[1]], np.float16)},
            "shared tensor: codebook is float16 of rank 2, must be float16, rank 1",
        ),
    ],
)
def test_a_shared_tensor_refuses_arrays_that_break_a_rule(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        SharedTensor(**{**GOOD, **change})


def test_positions_whose_differences_overflow_are_refused() -> None:
    positions = np.array([0, 2**30 + 1, -(2**30) - 1, 5], np.int32)
    with pytest.raises(MalformedBundle, match=r"positions must rise strictly within 0\.\.5$"):
        SharedTensor((2, 3), positions, np.zeros(4, np.uint16), np.array([1], np.float16))


@pytest.mark.parametrize("codebook", [[np.nan], [np.inf], [-np.inf], [0], [-0.0], [1, 1], [1, -1], [-1, 0, 1]])
def test_a_codebook_rises_is_finite_and_holds_no_0(codebook: list[float]) -> None:
    message = r"^shared tensor: codebook must rise strictly, be finite and hold no 0$"
    with pytest.raises(MalformedBundle, match=message):
        SharedTensor(**{**GOOD, "codebook": np.array(codebook, np.float16)})


def test_a_codebook_may_hold_the_smallest_and_the_largest_of_float16() -> None:
    codebook = np.array([-65504, -(2**-24), 2**-24, 65504], np.float16)
    tensor = SharedTensor((2, 2), np.arange(4, dtype=np.int32), np.arange(4, dtype=np.uint16), codebook)
    assert tensor.to_dense().ravel().tolist() == [-65504, -(2**-24), 2**-24, 65504]


def test_a_codebook_has_1_to_1022_entries() -> None:
    entries = np.arange(1, 1024).astype(np.float16)
    SharedTensor(**{**GOOD, "codebook": entries[:1022]})
    for count in (0, 1023):
        with pytest.raises(BundleTooLarge, match=rf"^shared tensor: codebook of {count} entries, must be 1\.\.1022$"):
            SharedTensor(**{**GOOD, "codebook": entries[:count]})


def test_a_float_tensor_keeps_every_bit() -> None:
    values = np.array([[-0.0, 2**-24], [65504, -1]], np.float16)
    tensor = FloatTensor(values)
    assert tensor.shape == (2, 2)
    assert tensor.nonzeros == 3
    assert np.signbit(tensor.to_dense())[0, 0]


@pytest.mark.parametrize("values", [np.ones(2, np.float32), np.ones(2, ">f2")])
def test_a_float_tensor_is_native_float16(values: np.ndarray) -> None:
    with pytest.raises(MalformedBundle, match=r"^float tensor: .*, must be float16$"):
        FloatTensor(values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_tensor_is_finite(value: float) -> None:
    with pytest.raises(MalformedBundle, match=r"^float tensor: a value is not finite, must be$"):
        FloatTensor(np.array([1, value], np.float16))


@pytest.mark.parametrize("shape", [(1,), (1 << 24,), (1 << 24, 8), (2, 3, 4, 5)])
def test_shapes_within_the_limits_give_their_elements(shape: tuple[int, ...]) -> None:
    assert check_shape(shape, "here") == int(np.prod(shape))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "here: rank 0, must be 1..4"),
        ((1,) * 5, "here: rank 5, must be 1..4"),
        ((1,) * 33, "here: rank 33, must be 1..4"),
        ((0,), "here: side 0 of shape (0,), must be 1..16777216"),
        ((-1, -1), "here: side -1 of shape (-1, -1), must be 1..16777216"),
        (((1 << 24) + 1,), "here: side 16777217 of shape (16777217,), must be 1..16777216"),
        ((1 << 24, 9), "here: 150994944 elements, must be <= 134217728"),
        ((1 << 16, 1 << 16, 1 << 16, 1 << 16), f"here: {1 << 64} elements, must be <= 134217728"),
        ((4194305, 4194305, 211106198978564), None),
    ],
)
def test_shapes_outside_the_limits_are_refused(shape: tuple[int, ...], message: str | None) -> None:
    with pytest.raises(BundleError) as caught:
        check_shape(shape, "here")
    assert message is None or str(caught.value) == message
