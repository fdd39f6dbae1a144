"""JSON that clients send, read more strictly than Python does: no duplicate members, no NaN, a bound on its memory."""

import json
from typing import NoReturn

from service.errors import InvalidUpload

MAX_BRACKETS = 1 << 17
"""Lists, objects and their members of one document. An empty list is three bytes of JSON, and some sixty in memory."""


def read_json(data: bytes | memoryview) -> object:
    """The value of a UTF-8 document.

    Raises:
        InvalidUpload: it is not one, has a member twice, or is nested too deeply.
    """
    text = bytes(data)
    if sum(text.count(mark) for mark in (b"[", b"{", b":")) > MAX_BRACKETS:
        raise InvalidUpload(f"body: too many lists, objects and members, must be at most {MAX_BRACKETS}")
    try:
        value: object = json.loads(text.decode(), object_pairs_hook=_members, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidUpload("body: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InvalidUpload(f"body: not JSON from character {error.pos} on") from None
    except UnicodeDecodeError as error:
        raise InvalidUpload(f"body: byte {error.start} is not UTF-8, must be JSON in UTF-8") from None
    except ValueError:  # a whole number of thousands of digits
        raise InvalidUpload("body: a number has too many digits") from None
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidUpload("body: an object has a member twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidUpload(f"body: {name} is not JSON")
