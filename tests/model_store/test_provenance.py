import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.provenance import decode_provenance, encode_provenance

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | TEXT
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_provenance_round_trips(provenance: dict[str, Any]) -> None:
    try:
        data = encode_provenance(provenance)
    except BundleTooLarge:
        return
    assert decode_provenance(data) == provenance
    assert encode_provenance(decode_provenance(data)) == data


def test_provenance_has_one_spelling() -> None:
    assert encode_provenance({"b": 1, "a": [True, None, 0.1, 1e16, "é\x7f\n😀"]}) == (
        rb'{"a":[true,null,0.1,1e+16,"\u00e9\u007f\n\ud83d\ude00"],"b":1}'
    )


@pytest.mark.parametrize(
    "spelling",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1} ',
        b' {"a":1}',
        b'{"a":1.50}',
        b'{"a":1E5}',
        b'{"a":1e5}',
        b'{"a":-0}',
        b'{"a":"\\u00e9\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u00E9"}',
        b'{"a":"\x7f"}',
        b"[]",
        b"null",
        b'"a"',
        b"1",
    ],
)
def test_any_other_spelling_is_refused(spelling: bytes) -> None:
    with pytest.raises(MalformedBundle, match=r"^provenance: must be one JSON object in canonical form$"):
        decode_provenance(spelling)


@pytest.mark.parametrize(
    "spelling",
    [
        b"",
        b"{",
        b'{"a":01}',
        b'{"a":.5}',
        b"{'a':1}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xc3\xa9"}',
        b'{"a":"\x01"}',
        b"{}{}",
        b"{}\0",
        b"[" * 65_536,
        b'{"a":' * 10_000,
        b'{"a":' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_not_json_in_ascii_is_refused(spelling: bytes) -> None:
    with pytest.raises(MalformedBundle, match=r"^provenance: not JSON in ASCII \(\w+\)$"):
        decode_provenance(spelling)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
def test_numbers_that_are_not_finite_are_refused(number: bytes) -> None:
    with pytest.raises(MalformedBundle, match=r"^provenance: -?(nan|inf), must be finite$"):
        decode_provenance(b'{"a":' + number + b"}")


def test_integers_have_at_most_63_bits() -> None:
    limit = 2**63 - 1
    assert decode_provenance(encode_provenance({"a": limit, "b": -limit})) == {"a": limit, "b": -limit}
    for value in (limit + 1, -limit - 1, 10**400):
        with pytest.raises(MalformedBundle, match=r"^provenance: an integer of more than 63 bits, must be smaller$"):
            encode_provenance({"a": value})
        with pytest.raises(MalformedBundle, match=r"^provenance: an integer of more than 63 bits, must be smaller$"):
            decode_provenance(b'{"a":%d}' % value)


@pytest.mark.parametrize("innermost", [{}, {"a": 1}, {"a": [1]}])
def test_six_levels_are_accepted_and_seven_refused_whatever_the_last_holds(innermost: dict[str, Any]) -> None:
    levels = 2 if "a" in innermost and isinstance(innermost["a"], list) else 1
    value = innermost
    for _ in range(6 - levels):
        value = {"n": value}
    assert decode_provenance(encode_provenance(value)) == value
    too_deep = {"n": value}
    with pytest.raises(BundleTooLarge, match=r"^provenance: nested deeper than 6$"):
        encode_provenance(too_deep)
    with pytest.raises(BundleTooLarge, match=r"^provenance: nested deeper than 6$"):
        decode_provenance(json.dumps(too_deep, separators=(",", ":")).encode())


def test_an_object_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    with pytest.raises(BundleTooLarge, match=r"^provenance: nested deeper than 6$"):
        encode_provenance(value)


def test_65536_bytes_are_accepted_and_one_more_refused() -> None:
    value = {"a": "x" * (65_536 - 8)}
    data = encode_provenance(value)
    assert len(data) == 65_536
    assert decode_provenance(data) == value
    with pytest.raises(BundleTooLarge, match=r"^provenance: 65537 bytes, must be <= 65536$"):
        encode_provenance({"a": "x" * (65_536 - 7)})
    with pytest.raises(BundleTooLarge, match=r"^provenance: 65537 bytes, must be <= 65536$"):
        decode_provenance(b" " * 65_537)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": math.nan}, "provenance: nan, must be finite"),
        ({"a": "\ud800"}, "provenance: a lone surrogate, must be valid Unicode"),
        ({"\udfff": 1}, "provenance: a lone surrogate, must be valid Unicode"),
        ({1: 1}, "provenance: key 1, must be a string"),
        ({"a": b"x"}, "provenance: a bytes, must be a JSON value"),
        ({"a": {1, 2}}, "provenance: a set, must be a JSON value"),
    ],
)
def test_the_writer_refuses_what_json_cannot_carry(value: dict[Any, Any], message: str) -> None:
    with pytest.raises(MalformedBundle) as caught:
        encode_provenance(value)
    assert str(caught.value) == message


def test_a_lone_surrogate_is_refused_on_reading() -> None:
    with pytest.raises(MalformedBundle, match=r"^provenance: a lone surrogate, must be valid Unicode$"):
        decode_provenance(rb'{"a":"\ud800"}')
