"""The picture's bytes out of a request: the raw body, or a form's field `file`. Bounded, in memory, no spooling."""

import asyncio
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service.errors import BodyTooLarge, InvalidUpload, UnsupportedUpload, UploadTooSlow

PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp")
FORM_TYPE = "multipart/form-data"
FIELD = "file"

_MAX_PARTS = 8
_MAX_PART_HEADERS_BYTES = 2048
_MAX_CONTENT_TYPE_BYTES = 512


async def read_upload(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The bytes of the one picture that a request carries.

    Raises:
        UnsupportedUpload: another media type, or an encoded body.
        BodyTooLarge: more bytes than the limit, as declared or as counted.
        UploadTooSlow: not all of it came in time.
        InvalidUpload: empty, or not the form it says it is.
    """
    kind, boundary = _media_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            chunks = _counted(request, max_bytes)
            data = await (_read_form(chunks, boundary) if kind == FORM_TYPE else _read_all(chunks))
    except TimeoutError:
        raise UploadTooSlow(f"The body took longer than {timeout_s:g} s.") from None
    if not data:
        raise InvalidUpload("The picture is empty.")
    return data


def _media_type(request: Request) -> tuple[str, bytes]:
    """(media type, boundary of a form)."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedUpload("Content-Encoding is not supported: send the picture as it is.")
    header = request.headers.get("content-type", "")
    kind, options = parse_options_header(header if len(header) <= _MAX_CONTENT_TYPE_BYTES else "")
    media_type = kind.decode("latin-1").strip().lower()
    if media_type not in (*PICTURE_TYPES, FORM_TYPE):
        raise UnsupportedUpload(
            f"Content-Type must be {', '.join(PICTURE_TYPES)} with the picture as the body, "
            f"or {FORM_TYPE} with the picture in the field {FIELD}."
        )
    boundary = options.get(b"boundary", b"")
    if media_type == FORM_TYPE and not 1 <= len(boundary) <= 70:  # RFC 2046, section 5.1.1
        raise InvalidUpload("The form's boundary must have 1 to 70 characters.")
    return media_type, boundary


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is too large, must be at most {max_bytes} bytes.")


async def _counted(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


async def _read_all(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return bytes(body)


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes) -> bytes:
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise InvalidUpload("The form is malformed.") from None
    if not form.complete:
        raise InvalidUpload("The form is cut short.")
    if form.content is None:
        raise InvalidUpload(f"The form has no field {FIELD}.")
    return bytes(form.content)


class _Form:
    """Takes a form's parts as they come, and keeps the one called `file`."""

    def __init__(self) -> None:
        self.content: bytearray | None = None
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
        if self._parts > _MAX_PARTS:
            raise InvalidUpload(f"The form has more than {_MAX_PARTS} fields.")

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
                if self.content is not None:
                    raise InvalidUpload(f"The form has the field {FIELD} twice.")
                self._wanted, self.content = True, bytearray()
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted and self.content is not None:
            self.content += data[start:end]

    def _end(self) -> None:
        self.complete = True
