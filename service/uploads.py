"""The pictures' bytes out of a request: the raw body, a form's fields `file`, or JSON. Bounded, in memory, no spooling.

A raw body is one picture. So is JSON's {"image": BASE64}, and a form with one field `file`. Several are a form with
several of them, or {"instances": [{"b64": BASE64}, ...]}.
"""

import base64
import binascii
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.bodies import limited
from service.errors import InvalidUpload, UnsupportedUpload
from service.strict_json import read_json

PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp")
FORM_TYPE = "multipart/form-data"
JSON_TYPE = "application/json"
FIELD = "file"

_MAX_OTHER_PARTS = 7  # besides the pictures
_MAX_PART_HEADERS_BYTES = 2048
_MAX_CONTENT_TYPE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Upload:
    """The pictures of a request; `several` where it could have had more than one, so that the answer is a list."""

    pictures: tuple[bytes, ...]
    several: bool


@dataclass(frozen=True, slots=True)
class MediaType:
    """What a body says it is; the boundary is a form's."""

    kind: str
    boundary: bytes = b""


async def read_upload(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The bytes of the one picture that a request carries. Raises as the three functions below do."""
    media_type = media_type_of(request)
    body = await read_body(request, max_bytes, timeout_s)
    return parse_pictures(body, media_type, max_pictures=1).pictures[0]


def parse_pictures(body: bytes, media_type: MediaType, max_pictures: int) -> Upload:
    """The pictures in a body.

    Raises:
        InvalidUpload: empty, not the form or JSON it says it is, or more pictures than the limit.
    """
    if media_type.kind == FORM_TYPE:
        upload = _parse_form(body, media_type.boundary, max_pictures)
    elif media_type.kind == JSON_TYPE:
        upload = _parse_json(body, max_pictures)
    else:
        upload = Upload((body,), False)
    if not all(upload.pictures):
        raise InvalidUpload("The picture is empty.")
    return upload


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """All of a request's body.

    Raises:
        BodyTooLarge: more bytes than the limit, as declared or as counted.
        UploadTooSlow: not all of it came in time.
    """
    bounded = Request(request.scope, limited(request.receive, request.headers, max_bytes, timeout_s))
    return await bounded.body()


def is_raw(request: Request) -> bool:
    """Whether a request's body is the picture itself, by its media type."""
    header = request.headers.get("content-type", "")
    return header.partition(";")[0].strip().lower() not in (FORM_TYPE, JSON_TYPE)


def media_type_of(request: Request) -> MediaType:
    """What a request's body says it is.

    Raises:
        UnsupportedUpload: another media type, or an encoded body.
        InvalidUpload: a form without a boundary.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedUpload("Content-Encoding is not supported: send the picture as it is.")
    header = request.headers.get("content-type", "")
    kind, options = parse_options_header(header if len(header) <= _MAX_CONTENT_TYPE_BYTES else "")
    media_type = kind.decode("latin-1").strip().lower()
    if media_type not in (*PICTURE_TYPES, FORM_TYPE, JSON_TYPE):
        raise UnsupportedUpload(
            f"Content-Type must be {', '.join(PICTURE_TYPES)} with the picture as the body, "
            f"{FORM_TYPE} with the picture in the field {FIELD}, or {JSON_TYPE} with the picture in base64."
        )
    boundary = options.get(b"boundary", b"")
    if media_type == FORM_TYPE and not 1 <= len(boundary) <= 70:  # RFC 2046, section 5.1.1
        raise InvalidUpload("The form's boundary must have 1 to 70 characters.")
    return MediaType(media_type, boundary)


def _parse_json(body: bytes, max_pictures: int) -> Upload:
    document = read_json(body)
    if isinstance(document, dict) and list(document) == ["image"]:
        return Upload((_decode_base64(document["image"], "image"),), False)
    if isinstance(document, dict) and list(document) == ["instances"]:
        instances = document["instances"]
        if not isinstance(instances, list) or not 1 <= len(instances) <= max_pictures:
            raise InvalidUpload(f"instances: must be a list of 1..{max_pictures} pictures")
        pictures = (_decode_instance(instance, f"instances[{index}]") for index, instance in enumerate(instances))
        return Upload(tuple(pictures), True)
    raise InvalidUpload('body: must be {"image": BASE64} or {"instances": [{"b64": BASE64}, ...]}')


def _decode_instance(instance: object, place: str) -> bytes:
    if not isinstance(instance, dict) or list(instance) != ["b64"]:
        raise InvalidUpload(f'{place}: must be {{"b64": BASE64}}')
    return _decode_base64(instance["b64"], f"{place}.b64")


def _decode_base64(text: object, place: str) -> bytes:
    if isinstance(text, str):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):  # a character that is not ASCII
            pass
    raise InvalidUpload(f"{place}: must be a string in base64")


def _parse_form(body: bytes, boundary: bytes, max_pictures: int) -> Upload:
    form = _Form(max_pictures)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise InvalidUpload("The form is malformed.") from None
    if not form.complete:
        raise InvalidUpload("The form is cut short.")
    if not form.contents:
        raise InvalidUpload(f"The form has no field {FIELD}.")
    return Upload(tuple(bytes(content) for content in form.contents), len(form.contents) > 1)


class _Form:
    """Takes a form's parts as they come, and keeps those called `file`."""

    def __init__(self, max_pictures: int) -> None:
        self.contents: list[bytearray] = []
        self._max_pictures = max_pictures
        self.complete = False
        self._parts = 0
        self._wanted = False
        self._header_bytes = 0
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, object]:
        """What python-multipart calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        self._wanted = False
        self._header_bytes = 0
        if self._parts > _MAX_OTHER_PARTS + self._max_pictures:
            raise InvalidUpload(f"The form has more than {_MAX_OTHER_PARTS + self._max_pictures} fields.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size_bytes: int) -> None:
        self._header_bytes += size_bytes
        if self._header_bytes > _MAX_PART_HEADERS_BYTES:
            raise InvalidUpload("A field's headers are too long.")

    def _header_end(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            if options.get(b"name") == FIELD.encode():
                if len(self.contents) == self._max_pictures:
                    raise InvalidUpload(f"The form has more than {self._max_pictures} of the field {FIELD}.")
                self._wanted = True
                self.contents.append(bytearray())
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.contents[-1] += data[start:end]

    def _end(self) -> None:
        self.complete = True
