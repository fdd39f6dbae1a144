import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidUpload
from service.strict_json import MAX_CONTAINERS, read_json
from tests.service.oip.drawn import ANY_JSON


@given(ANY_JSON)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=100))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidUpload):
        read_json(data)


INVALID = [
    (b"", "body: not JSON from character 0 on"),
    (b"{", "body: not JSON from character 1 on"),
    (b"1 2", "body: not JSON from character 2 on"),
    (b"\xef\xbb\xbf{}", "body: not JSON from character 0 on"),
    ("{}".encode("utf-16"), "body: byte 0 is not UTF-8, must be JSON in UTF-8"),
    (b'{"a": "\xff"}', "body: byte 7 is not UTF-8, must be JSON in UTF-8"),
    (b'{"a": 1, "a": 1}', "body: an object has a member twice"),
    (b'{"a": [{"b": 1, "b": 2}]}', "body: an object has a member twice"),
    (b"[NaN]", "body: NaN is not JSON"),
    (b"[-Infinity]", "body: -Infinity is not JSON"),
    (b"[" * 100_000 + b"]" * 100_000, "body: nested too deeply"),
    (b"[" + b"9" * 5000 + b"]", "body: a number has too many digits"),
    (b"[" * (MAX_CONTAINERS + 1), f"body: too many lists and objects, must be at most {MAX_CONTAINERS}"),
]


@pytest.mark.parametrize(("data", "message"), INVALID, ids=range(len(INVALID)))
def test_what_is_no_strict_json_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        read_json(data)
    assert str(caught.value) == message


def test_as_many_lists_as_the_limit_are_read() -> None:
    data = b"[" + b",".join([b"[]"] * (MAX_CONTAINERS - 1)) + b"]"
    assert read_json(data) == [[]] * (MAX_CONTAINERS - 1)


def test_empty_lists_take_bounded_memory() -> None:
    bomb = b"[" + b"[]," * 2_000_000 + b"[]]"
    tracemalloc.start()
    with pytest.raises(InvalidUpload):
        read_json(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(bomb)
