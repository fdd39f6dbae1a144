"""Pictures for the tests, drawn here: a gradient with a bright corner, so that every turn of it looks different."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image


def draw(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """A picture of that size and mode."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack(
        [255 * columns // max(1, width - 1), 255 * rows // max(1, height - 1), 0 * rows + 60], axis=-1
    ).astype(np.uint8)
    pixels[: height // 3, : width // 3] = 255
    return Image.fromarray(pixels).convert(mode)


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture's file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int = 40, height: int = 30, mode: str = "RGB") -> bytes:
    """A PNG of that size and mode."""
    return encode(draw(width, height, mode))


def png_of_chunks(width: int, height: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG put together by hand: a header of 8-bit RGB, then what is given."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


def blank_png(width: int, height: int) -> bytes:
    """A black PNG of any size, made without ever holding its pixels."""
    deflate = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * width)
    compressed = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    return png_of_chunks(width, height, [(b"IDAT", compressed)])


def form(fields: Mapping[str, bytes], boundary: str = "limit") -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a multipart form with these files."""
    return _form(list(fields.items()), boundary)


def form_of_files(contents: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a multipart form with the field `file` as often."""
    return _form([("file", content) for content in contents], "limit")


def _form(fields: Sequence[tuple[str, bytes]], boundary: str) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in fields
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
