import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model_store.affine import affine_bytes, decode_affine, encode_affine, fit_affine
from model_store.errors import BundleError, MalformedBundle
from model_store.tensors import AffineTensor

CODES = np.array([0, 1, 255], np.uint8)
FINITE = st.floats(-60_000, 60_000, width=16)


@given(arrays(np.float16, st.integers(1, 40), elements=FINITE))
def test_fitted_values_are_off_by_half_a_step_and_a_rounding_at_most(values: np.ndarray) -> None:
    tensor = fit_affine(values)
    rounding = float(np.spacing(np.abs(values).max()))
    error = np.abs(tensor.to_dense().astype(np.float64) - values.astype(np.float64)).max()
    assert error <= tensor.step / 2 + rounding
    assert tensor.step <= 1.01 * (float(values.max()) - float(values.min())) / 255 + 2**-23 or tensor.step == 1


@given(arrays(np.float16, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=FINITE))
def test_what_is_fitted_comes_back_from_its_bytes(values: np.ndarray) -> None:
    tensor = fit_affine(values)
    data = encode_affine(tensor)
    assert len(data) == affine_bytes(values.size)
    found = decode_affine(data, tensor.shape, "here")
    assert (found.offset, found.step) == (tensor.offset, tensor.step)
    assert found.codes.tolist() == tensor.codes.tolist()


@pytest.mark.parametrize("value", [0, 1.5, -3, 65504, -65504, 2**-24])
def test_a_vector_of_one_value_is_exact(value: float) -> None:
    tensor = fit_affine(np.full(4, value, np.float16))
    assert tensor.to_dense().tolist() == [value] * 4
    assert not np.signbit(tensor.offset) or value < 0


def test_the_least_and_the_largest_are_within_reach() -> None:
    values = np.array([-65504, 65504, 0], np.float32)
    tensor = fit_affine(values)
    assert tensor.to_dense()[0] == -65504
    assert 65504 - tensor.step < tensor.to_dense()[1] <= 65504


@pytest.mark.parametrize("value", [1e6, -1e6, np.inf, np.nan])
def test_what_float16_cannot_hold_is_refused_without_a_warning(value: float) -> None:
    with pytest.raises(BundleError):
        fit_affine(np.array([0, value], np.float32))


def test_values_are_summed_exactly_and_rounded_once() -> None:
    tensor = AffineTensor(1.0, 2.0**-24, CODES)
    assert tensor.values.tolist() == [1, 1, 1]
    assert AffineTensor(2048.0, 1.0, CODES).values.tolist() == [2048, 2048, 2304]  # 2049 is a tie: to even
    assert AffineTensor(-1.0, 1.0, CODES).values.tolist() == [-1, 0, 254]
    assert AffineTensor(-1.0, 1.0, CODES).nonzeros == 2
    assert not np.signbit(AffineTensor(-1.0, 1.0, CODES).values[1])


@pytest.mark.parametrize(
    ("offset", "step", "codes", "message"),
    [
        (0.1, 1.0, CODES, "offset 0.1, step 1.0, must be float16 and not -0"),
        (1.0, 0.1, CODES, "offset 1.0, step 0.1, must be float16 and not -0"),
        (-0.0, 1.0, CODES, "offset -0.0, step 1.0, must be float16 and not -0"),
        (float("inf"), 1.0, CODES, "offset inf, step 1.0, must be float16 and not -0"),
        (0.0, 0.0, CODES, "step 0.0, must be finite and above 0"),
        (0.0, -1.0, CODES, "step -1.0, must be finite and above 0"),
        (0.0, float("inf"), CODES, "step inf, must be finite and above 0"),
        (0.0, 512.0, CODES, "a value is not finite, must be"),
        (0.0, 1.0, CODES.astype(np.int16), "codes int16, must be uint8"),
    ],
)
def test_fields_that_break_a_rule_are_refused(offset: float, step: float, codes: np.ndarray, message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^8-bit tensor: {re.escape(message)}$"):
        AffineTensor(offset, step, codes)
