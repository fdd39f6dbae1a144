"""Which requests are plain: a head of few, well-known headers, each once, in the strictest reading of RFC 9112.

There is no second opinion to differ from: what is not plain goes to the real parser, untouched.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from service.errors import InvalidQuery
from service.pictures import SMALL_BYTES
from service.predictions import Query
from service.routes.lean import plain_query
from service.uploads import PICTURE_TYPES

START = b"POST /predict"
MAX_HEAD_BYTES = 2048
_HEAD = re.compile(rb"POST /predict(?:\?([!-~]*))? HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[ -~]*\r\n)+)\r\n")
_HARMLESS = frozenset(  # and of no meaning to a prediction
    {
        b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"forwarded", b"pragma", b"user-agent",
        b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
    }
)  # fmt: skip
_TYPES = frozenset(kind.encode() for kind in PICTURE_TYPES)
_HOST = re.compile(rb"[A-Za-z0-9.\-_:\[\]]{1,255}")
_LENGTH = re.compile(rb"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Head:
    """What a plain request asks for.

    Attributes:
        size_bytes: of the head, its empty line included.
        body_bytes: that follow.
        request_id: the client's X-Request-ID, "" for none.
    """

    size_bytes: int
    body_bytes: int
    query: Query
    request_id: str


def read_head(data: bytes) -> Head | None:
    """The head at the beginning of what a client has sent; None where it is not plain, or not complete."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
    return _read(data[:end]) if end > 4 else None


@lru_cache(maxsize=512)  # a client's heads are alike
def _read(data: bytes) -> Head | None:
    found = _HEAD.fullmatch(data)
    if found is None:
        return None
    headers = {}
    lines = found[2].split(b"\r\n")[:-1]
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip(b" ")
    if len(headers) != len(lines):  # one of them twice
        return None
    length = headers.pop(b"content-length", b"")
    wanted = (
        _LENGTH.fullmatch(length)
        and headers.pop(b"content-type", b"") in _TYPES
        and _HOST.fullmatch(headers.pop(b"host", b""))
        and headers.pop(b"connection", b"keep-alive").lower() == b"keep-alive"
    )
    request_id = headers.pop(b"x-request-id", b"")
    if not wanted or not headers.keys() <= _HARMLESS or int(length) > SMALL_BYTES:
        return None
    try:
        query = plain_query(found[1] or b"")
    except InvalidQuery:
        return None
    return Head(len(data), int(length), query, request_id.decode("ascii")) if query is not None else None
