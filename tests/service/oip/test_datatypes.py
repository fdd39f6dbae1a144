import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.errors import InvalidInference
from service.oip.datatypes import decode_numbers, decode_texts, encode_texts
from tests.service.oip.drawn import ANY_JSON, element, nested

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float32, SHAPES, elements=FLOATS))
def test_fp32_is_read_from_bytes_and_from_flat_and_nested_json(array: np.ndarray) -> None:
    flat = [float(value) for value in array.ravel()]
    for data in (memoryview(array.astype("<f4").tobytes()), flat, nested(flat, array.shape)):
        decoded = decode_numbers(data, "FP32", array.shape, "x")
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, array)


@given(hnp.arrays(np.uint8, SHAPES))
def test_uint8_is_read_from_bytes_and_from_flat_and_nested_json(array: np.ndarray) -> None:
    flat = [int(value) for value in array.ravel()]
    for data in (memoryview(array.tobytes()), flat, nested(flat, array.shape)):
        decoded = decode_numbers(data, "UINT8", array.shape, "x")
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, array)


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_bytes_are_read_as_they_were_written(texts: list[bytes]) -> None:
    assert encode_texts(texts) == b"".join(element(text) for text in texts)
    assert decode_texts(memoryview(encode_texts(texts)), len(texts), "x") == texts


@given(st.lists(st.text(max_size=10), min_size=1, max_size=6))
def test_bytes_in_json_are_utf_8(texts: list[str]) -> None:
    assert decode_texts(list(texts), len(texts), "x") == [text.encode() for text in texts]


@given(st.binary(max_size=40), st.integers(0, 5))
def test_any_bytes_are_elements_or_refused(data: bytes, count: int) -> None:
    with contextlib.suppress(InvalidInference):
        texts = decode_texts(memoryview(data), count, "x")
        assert encode_texts(texts) == data


@given(
    st.lists(ANY_JSON, max_size=6),
    st.sampled_from(["UINT8", "FP32"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
)
def test_any_json_is_numbers_or_refused(data: list[object], datatype: str, shape: list[int]) -> None:
    with contextlib.suppress(InvalidInference):
        decoded = decode_numbers(data, datatype, shape, "x")
        assert decoded.shape == tuple(shape)
        assert np.isfinite(decoded).all()


NUMBERS = [
    ([1, 2], "FP32", (3,), "x: 2 elements at depth 0, must be a list of 3"),
    ([[1, 2], [3]], "FP32", (2, 2), "x: 1 elements at depth 1, must be a list of 2"),
    ([[1, 2], 3], "FP32", (2, 2), "x: 3 at depth 1, must be a list of 2"),
    ([1, [2]], "FP32", (2,), "x[1] = a list of 1, must be a number that is finite in float32"),
    ([[1]], "FP32", (1,), "x[0] = a list of 1, must be a number that is finite in float32"),
    ([0.5, "1"], "FP32", (2,), 'x[1] = "1", must be a number that is finite in float32'),
    ([0.5, True], "FP32", (2,), "x[1] = true, must be a number that is finite in float32"),
    ([0.5, None], "FP32", (2,), "x[1] = null, must be a number that is finite in float32"),
    ([0.5, math.inf], "FP32", (2,), "x[1] = Infinity, must be a number that is finite in float32"),
    ([0.5, 1e39], "FP32", (2,), "x[1] = 1e+39, must be a number that is finite in float32"),
    ([0, 10**400], "FP32", (2,), "x[1] = a number beyond 64 bits, must be a number that is finite in float32"),
    ([0, 256], "UINT8", (2,), "x[1] = 256, must be a whole number in 0..255"),
    ([-1, 0], "UINT8", (2,), "x[0] = -1, must be a whole number in 0..255"),
    ([0, 1.0], "UINT8", (2,), "x[1] = 1.0, must be a whole number in 0..255"),
    ([True, 1], "UINT8", (2,), "x[0] = true, must be a whole number in 0..255"),
    (memoryview(b"abc"), "FP32", (1,), "x: 3 bytes, must be 4 for FP32 of [1]"),
    (memoryview(b"abc"), "UINT8", (2, 2), "x: 3 bytes, must be 4 for UINT8 of [2, 2]"),
    (memoryview(np.array([0, np.nan], "<f4").tobytes()), "FP32", (2,), "x: element 1 is not finite, must be"),
]


@pytest.mark.parametrize(("data", "datatype", "shape", "message"), NUMBERS, ids=range(len(NUMBERS)))
def test_numbers_that_do_not_fit_are_named(
    data: memoryview | list[object], datatype: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InvalidInference) as caught:
        decode_numbers(data, datatype, shape, "x")
    assert str(caught.value) == message


TEXTS = [
    (b"", 1, "x[0]: 0 bytes left, must be 4 for its length"),
    (b"\1\0\0", 1, "x[0]: 3 bytes left, must be 4 for its length"),
    (b"\2\0\0\0a", 1, "x[0]: 2 bytes long, but 1 are left"),
    (b"\xff\xff\xff\xff", 1, "x[0]: 4294967295 bytes long, but 0 are left"),
    (element(b"a") + b"\1", 2, "x[1]: 1 bytes left, must be 4 for its length"),
    (element(b"a") + b"b", 1, "x: 1 bytes after the last of 1 elements, must be none"),
]


@pytest.mark.parametrize(("data", "count", "message"), TEXTS, ids=range(len(TEXTS)))
def test_elements_that_do_not_fit_are_named(data: bytes, count: int, message: str) -> None:
    with pytest.raises(InvalidInference) as caught:
        decode_texts(memoryview(data), count, "x")
    assert str(caught.value) == message


def test_elements_in_json_are_strings_of_text() -> None:
    for value, message in ((1, "x[0] = 1, must be a string"), ("\ud800", "x[0]: a lone surrogate, must be text")):
        with pytest.raises(InvalidInference) as caught:
            decode_texts([value], 1, "x")
        assert str(caught.value) == message
