"""What the services are asked: the same pictures, each in the form that a service takes."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_HEAD = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Requests:
    """Bodies, and the media type that they all have."""

    content_type: str
    bodies: tuple[bytes, ...]

    def encoded(self, port: int) -> list[bytes]:
        """Each as it goes over the wire."""
        head = _HEAD.format(port=port, kind=self.content_type, length="{length}")
        return [head.format(length=len(body)).encode() + body for body in self.bodies]


def as_they_are(pictures: Sequence[bytes]) -> Requests:
    """The picture is the body."""
    return Requests("image/png", tuple(pictures))


def in_json(pictures: Sequence[bytes]) -> Requests:
    """In base64, for a service that takes JSON only."""
    return _json({"image": _text(picture)} for picture in pictures)


def in_lists(pictures: Sequence[bytes]) -> Requests:
    """In base64, each alone in a list, for a service that puts lists together."""
    return _json({"images": [_text(picture)]} for picture in pictures)


def _json(documents: Iterable[object]) -> Requests:
    return Requests("application/json", tuple(json.dumps(document).encode() for document in documents))


def _text(picture: bytes) -> str:
    return base64.b64encode(picture).decode()
