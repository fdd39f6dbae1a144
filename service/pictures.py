"""From the bytes of a picture to the array a network reads.

The rules, in order. Only PNG, JPEG and WebP, recognised by content. No more pixels than the limit, by the header,
before anything is decoded. The first frame of an animation. Turned upright as EXIF says. 16-bit grey is cut to its
high byte. What is transparent is laid on white. Then the model's channels (1: grey, 3: RGB; 2 and 4 keep alpha), its
size by bilinear resampling (which averages when it shrinks; proportions are not kept), and its normalisation.
"""

import io
import struct
import warnings
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from model_store.preprocessing import Preprocessing
from service.engine.plan import Array
from service.errors import RequestError, TooManyPixels, UndecodablePicture, UnsupportedUpload

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_JPEG_SCANS = 100  # a progressive JPEG has about ten; each one more costs a pass over the whole picture

SMALL_BYTES = 8192
_SMALL_PIXELS = 64 * 64
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
# Chunks of a plain PNG, which cost no more than their bytes: compressed text and profiles inflate.
_PLAIN_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME"))
_MOST_CHUNKS = 16

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def limit_pixels(max_pixels: int) -> None:
    """Make Pillow itself refuse pictures of far more pixels, before it allocates for them, in the whole process."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def is_small(data: bytes) -> bool:
    """Whether a picture is decoded sooner than a thread is woken: a plain PNG of few bytes and, by its header, pixels.

    All of it, so that a few bytes which inflate to many pixels, or to much text, are not small.
    """
    if len(data) > SMALL_BYTES or not data.startswith(_PNG_START) or len(data) < len(_PNG_START) + 8:
        return False
    width, height = struct.unpack_from(">II", data, len(_PNG_START))
    return 0 < width * height <= _SMALL_PIXELS and _is_plain(data)


def _is_plain(data: bytes) -> bool:
    at = len(_PNG_START) - 8
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return True
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind not in _PLAIN_CHUNKS:
            return False
        at += 12 + length
    return False


def read_picture(data: bytes, preprocessing: Preprocessing, max_pixels: int) -> Array:
    """Decode a picture for a network: float32 [channels, height, width], normalised.

    Raises:
        UnsupportedUpload: it is not a PNG, JPEG or WebP.
        TooManyPixels: its header says so.
        UndecodablePicture: it is damaged.
    """
    try:
        with _opened(data, max_pixels) as picture:
            upright = _upright(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(max_pixels) from None
    except UnidentifiedImageError:
        if _looks_supported(data):
            raise UndecodablePicture("The picture's header is damaged.") from None
        raise UnsupportedUpload("The body is not a PNG, JPEG or WebP picture.") from None
    except (RequestError, MemoryError):
        raise
    except Exception:  # Pillow's readers raise many kinds on bytes that are no sound picture, those of metadata any
        raise UndecodablePicture("The picture is damaged or cut short.") from None
    return normalise(_fit(upright, preprocessing), preprocessing)


def _opened(data: bytes, max_pixels: int) -> Image.Image:
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UndecodablePicture(f"The JPEG has more than {MAX_JPEG_SCANS} scans.")
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    if picture.width * picture.height > max_pixels:
        raise _too_many_pixels(max_pixels)
    return picture


def _too_many_pixels(max_pixels: int) -> TooManyPixels:
    return TooManyPixels(f"The picture has too many pixels, must be at most {max_pixels}.")


def _looks_supported(data: bytes) -> bool:
    return data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _upright(picture: Image.Image) -> Image.Image:
    """Decoded, turned, in 8 bits a channel."""
    picture.load()
    if picture.info or picture.format != "PNG":  # a PNG that says nothing of itself says nothing of its orientation
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
        picture = picture if turn is None else picture.transpose(turn)
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _fit(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    mode = _MODES[preprocessing.channels]
    if picture.mode == "RGBA" and preprocessing.channels in (1, 3):
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    if picture.mode != mode:
        picture = picture.convert(mode)
    size = (preprocessing.width, preprocessing.height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def normalise(picture: Image.Image | npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Array:
    """float32 [channels, height, width] of a picture, or of its bytes [height, width, channels], that fits already."""
    pixels = np.asarray(picture).reshape(preprocessing.height, preprocessing.width, -1)
    planes = np.empty(preprocessing.input_shape, dtype=np.float32)
    for channel, plane in enumerate(planes):
        table = _normal_bytes(preprocessing.mean[channel], preprocessing.std[channel])
        table.take(pixels[:, :, channel], out=plane, mode="clip")  # no byte is past 255; "raise" would buffer
    return planes


@lru_cache(maxsize=64)
def _normal_bytes(mean: float, std: float) -> Array:
    """What each byte becomes, float32 [256]."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    return ((scaled - np.float32(mean)) / np.float32(std)).astype(np.float32)
