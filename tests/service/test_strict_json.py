import contextlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidUpload
from service.strict_json import MAX_BRACKETS, read_json
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
    (b"[" * (MAX_BRACKETS + 1), f"body: too many lists, objects and members, must be at most {MAX_BRACKETS}"),
]


@pytest.mark.parametrize(("data", "message"), INVALID, ids=range(len(INVALID)))
def test_what_is_no_strict_json_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidUpload) as caught:
        read_json(data)
    assert str(caught.value) == message


@pytest.mark.parametrize("element", [b'"aa",', b"1e1,", b"257,"])
def test_a_document_takes_bounded_memory(element: bytes) -> None:
    document = b'["' + "😀".encode() + b'",' + element * 200_000 + b"1]"
    tracemalloc.start()
    read_json(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(document)


def test_as_many_lists_as_the_limit_are_read() -> None:
    data = b"[" + b",".join([b"[]"] * (MAX_BRACKETS - 1)) + b"]"
    assert read_json(data) == [[]] * (MAX_BRACKETS - 1)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" + b"[]," * 2_000_000 + b"[]]",
        b"[" + b"{}," * 2_000_000 + b"{}]",
        b"{" + b",".join(b'"%x":1' % number for number in range(500_000)) + b"}",
    ],
    ids=["lists", "objects", "members"],
)
def test_what_takes_much_more_memory_than_json_is_refused_unread(bomb: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(InvalidUpload):
        read_json(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(bomb)
