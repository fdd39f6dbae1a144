"""What is plain, and that a real parser reads nothing else in it."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.express.heads import MAX_HEAD_BYTES, Head, read_head
from service.predictions import Query

PLAIN = (
    b"POST /predict?model=grey&top_k=2 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8\r\nAccept: */*\r\n"
    b"Content-Type: image/png\r\nContent-Length: 1951\r\nX-Request-ID: abc-1\r\n\r\n"
)


def test_a_plain_head_is_read() -> None:
    assert read_head(PLAIN + b"body") == Head(len(PLAIN), 1951, Query("grey", None, 2), "abc-1")
    least = b"POST /predict HTTP/1.1\r\nhost:x\r\nCONTENT-TYPE: image/webp\r\nContent-Length: 1\r\n\r\n"
    assert read_head(least) == Head(len(least), 1, Query("", None, 5), "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"PUT"),
        (b"/predict", b"/predict/"),
        (b"?model", b"#model"),
        (b"top_k=2", b"top_k=0"),
        (b"top_k=2", b"version=-1"),
        (b"top_k=2", b"top_k=\xc3\xa4"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"http/1.1"),
        (b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
        (b"Host: 127.0.0.1:8000\r\n", b""),
        (b"Host: 127.0.0.1:8000", b"Host: a b"),
        (b"Host: ", b"Host:\t"),
        (b"Host:", b"Host :"),
        (b"Accept: */*\r\n", b"Accept: */*\r\n */*\r\n"),
        (b"Accept: */*\r\n", b"Accept: */*\r\nAccept: */*\r\n"),
        (b"Accept: */*\r\n", b"Accept: *\r/*\r\n"),
        (b"Accept: */*", b"Accept: \x00"),
        (b"Accept: */*", b"Cookie: a"),
        (b"Accept: */*", b"Expect: 100-continue"),
        (b"Accept: */*", b"Transfer-Encoding: chunked"),
        (b"Accept: */*", b"Content-Encoding: gzip"),
        (b"Accept: */*", b"Upgrade: h2c"),
        (b"Accept: */*", b"Connection: close"),
        (b"Accept: */*", b"traceparent: 00-" + 32 * b"a" + b"-" + 16 * b"b" + b"-01"),
        (b"image/png", b"image/png; a=b"),
        (b"image/png", b"multipart/form-data"),
        (b"1951", b"01951"),
        (b"1951", b"+1951"),
        (b"1951", b"1951, 1951"),
        (b"1951", b"8193"),
        (b"1951", b"0"),
        (b"Content-Length: 1951\r\n", b""),
        (b"Content-Length: 1951\r\n", b"Content-Length: 1951\r\ncontent-length: 1951\r\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b"curl", MAX_HEAD_BYTES * b"c"),
    ],
)
def test_whatever_is_not_plain_is_left_alone(old: bytes, new: bytes) -> None:
    assert old in PLAIN
    assert read_head(PLAIN.replace(old, new, 1)) is None


def test_a_head_that_has_not_come_yet_is_none() -> None:
    assert [read_head(PLAIN[:size]) for size in range(len(PLAIN))] == [None] * len(PLAIN)


MUTATIONS = st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), max_size=4)


@given(MUTATIONS)
def test_what_is_plain_is_to_a_real_parser_what_it_is_here(mutations: list[tuple[int, int]]) -> None:
    data = bytearray(PLAIN)
    for position, byte in mutations:
        data[position] = byte
    head = read_head(bytes(data))
    if head is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(bytes(data[: head.size_bytes]) + head.body_bytes * b"x")
    request, body, end = (connection.next_event() for _ in range(3))
    assert isinstance(request, h11.Request)
    assert (request.method, request.target.partition(b"?")[0]) == (b"POST", b"/predict")
    assert isinstance(body, h11.Data)
    assert len(body.data) == head.body_bytes
    assert isinstance(end, h11.EndOfMessage)
    assert connection.our_state is not h11.MUST_CLOSE


@given(st.binary(max_size=200))
def test_any_bytes_are_plain_or_not(data: bytes) -> None:
    assert read_head(data) is None
    assert read_head(b"POST /predict" + data) is None or b"\r\n\r\n" in data
