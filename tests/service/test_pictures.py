import contextlib
import io
import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_store.preprocessing import Preprocessing
from service.engine.plan import Array
from service.errors import TooManyPixels, UndecodablePicture, UnsupportedUpload
from service.pictures import MAX_JPEG_SCANS, is_small, read_picture
from tests.service.drawings import blank_png, draw, encode, png, png_of_chunks

RGB = Preprocessing(8, 8, (0.5, 0.4, 0.3), (0.25, 0.2, 0.5))
GREY = Preprocessing(12, 10, (0.5,), (0.25,))
LIMIT = 1 << 22


def read(data: bytes, preprocessing: Preprocessing = RGB) -> Array:
    return read_picture(data, preprocessing, LIMIT)


def pixels_of(array: Array, preprocessing: Preprocessing = RGB) -> np.ndarray:
    """Back to bytes, [height, width, channels]."""
    scaled = array.transpose(1, 2, 0) * np.array(preprocessing.std) + np.array(preprocessing.mean)
    pixels: np.ndarray = np.rint(255 * scaled).astype(int)
    return pixels


def test_a_picture_of_the_right_size_is_only_normalised() -> None:
    array = read(png(8, 8))
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    expected = (np.asarray(draw(8, 8)) / 255 - np.array(RGB.mean)) / np.array(RGB.std)
    np.testing.assert_allclose(array, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


def test_another_size_is_resized_bilinearly() -> None:
    expected = np.asarray(draw(40, 30).resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels_of(read(png(40, 30))), expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("preprocessing", [RGB, GREY, Preprocessing(5, 6, (0.0,) * 2, (1.0,) * 2)])
def test_every_format_gives_the_shape_of_the_model(kind: str, preprocessing: Preprocessing) -> None:
    assert read(encode(draw(), kind), preprocessing).shape == preprocessing.input_shape


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_every_mode_gives_the_shape_of_the_model(mode: str, preprocessing: Preprocessing) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    else:
        picture = draw().convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "WEBP" if mode == "PA" else "PNG"
    picture = picture.convert("RGBA") if mode == "PA" else picture
    array = read(encode(picture, kind), preprocessing)
    assert array.shape == preprocessing.input_shape
    assert np.isfinite(array).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 1), (2, 2), (31, 33), (4000, 1)])
def test_small_and_odd_sizes_are_pictures_too(size: tuple[int, int]) -> None:
    assert read(png(*size)).shape == (3, 8, 8)


def test_sixteen_bits_of_grey_are_cut_to_the_high_byte() -> None:
    picture = Image.fromarray(np.full((12, 10), 0xABCD, dtype=np.uint16))
    assert (pixels_of(read(encode(picture), GREY), GREY) == 0xAB).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_laid_on_white(mode: str) -> None:
    picture = Image.new(mode, (8, 8), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    assert (pixels_of(read(encode(picture))) == 255).all()


def test_a_transparent_colour_of_a_palette_is_laid_on_white() -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    assert (pixels_of(read(encode(picture, transparency=1))) == 255).all()
    assert (pixels_of(read(encode(picture)))[0, 0] == [255, 0, 0]).all()


def test_a_transparent_colour_of_rgb_is_laid_on_white() -> None:
    picture = Image.new("RGB", (8, 8), (1, 2, 3))
    assert (pixels_of(read(encode(picture, transparency=(1, 2, 3)))) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(kind: str, orientation: int) -> None:
    upright = draw(8, 8)
    turned = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = pixels_of(read(encode(turned, kind, exif=exif, **options)))
    assert np.abs(found - np.asarray(upright)).max() <= (8 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_nobody_knows_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels_of(read(encode(draw(8, 8), exif=exif))), np.asarray(draw(8, 8)))


def test_metadata_of_garbage_costs_nothing_or_the_picture() -> None:
    for options in ({"icc_profile": b"garbage" * 9}, {"exif": b"Exif\0\0garbage" * 9}):
        with contextlib.suppress(UndecodablePicture):
            assert read(encode(draw(), "JPEG", **options)).shape == (3, 8, 8)


def exif_of(*tags: tuple[int, int, int, bytes], order: str = ">") -> bytes:
    """Of tags (number, type, count, four bytes of value), rightly or not."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    entries = b"".join(struct.pack(f"{order}HHI", *tag[:3]) + tag[3] for tag in tags)
    return head + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4)


def png_with(kind: bytes, content: bytes, side: int = 8) -> bytes:
    """A picture of `draw` with one more chunk behind its header."""
    data = png(side, side)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]


def test_metadata_that_pillow_cannot_write_again_does_not_keep_a_picture_from_being_turned() -> None:
    maker, turn = (0x10F, 11, 1, struct.pack(">f", 1.5)), (0x112, 3, 1, struct.pack(">HH", 2, 0))
    found = pixels_of(read(png_with(b"eXIf", exif_of(maker, turn))))
    np.testing.assert_array_equal(found, np.asarray(draw(8, 8))[:, ::-1])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x112, 0x10F, 0x8769, 0x8825, 0x927C, 0x111, 0x117, 0x201, 0x202, 0xA005]),
            st.integers(0, 13),
            st.sampled_from([0, 1, 2, 4, 100, 2**31]),
            st.binary(min_size=4, max_size=4),
        ),
        max_size=5,
    ),
    st.sampled_from("<>"),
    st.sampled_from([1, 2, 3, 6, 8]),
)
def test_metadata_of_any_shape_costs_nothing_or_the_picture(
    tags: list[tuple[int, int, int, bytes]], order: str, orientation: int
) -> None:
    turn = (0x112, 3, 1, struct.pack(f"{order}HH", orientation, 0))
    data = png_with(b"eXIf", exif_of(*tags, turn, order=order))
    with warnings.catch_warnings(), contextlib.suppress(UndecodablePicture):
        warnings.simplefilter("ignore")
        assert read(data).shape == (3, 8, 8)


def test_whatever_pillow_raises_is_the_pictures_fault_but_not_what_memory_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for error, expected in ((AttributeError, UndecodablePicture), (ZeroDivisionError, UndecodablePicture)):
        monkeypatch.setattr(Image.Image, "getexif", raising(error))
        with pytest.raises(expected):
            read(encode(draw(), "JPEG"))
    monkeypatch.setattr(Image.Image, "getexif", raising(MemoryError))
    with pytest.raises(MemoryError):
        read(encode(draw(), "JPEG"))


def raising(error: type[Exception]) -> Callable[[Image.Image], Image.Exif]:
    def fail(picture: Image.Image) -> Image.Exif:
        raise error

    return fail


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "red")]}
    for kind, options in (("PNG", frames), ("WEBP", {**frames, "lossless": True})):
        np.testing.assert_array_equal(pixels_of(read(encode(draw(8, 8), kind, **options))), np.asarray(draw(8, 8)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89",
        b"<html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"PK\3\4",
    ],
)
def test_what_is_no_picture_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedUpload) as caught:
        read(data)
    assert str(caught.value) == "The body is not a PNG, JPEG or WebP picture."


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "EPS", "ICO", "TGA"])
def test_other_formats_are_unsupported(kind: str) -> None:
    with pytest.raises(UnsupportedUpload):
        read(encode(draw(), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_cut_anywhere_is_refused_or_read_but_nothing_else(kind: str) -> None:
    data = encode(draw(), kind)
    for length in range(0, len(data), max(1, len(data) // 150)):
        with contextlib.suppress(UndecodablePicture, UnsupportedUpload):
            assert read(data[:length]).shape == (3, 8, 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_picture_is_refused_or_read_but_nothing_else(kind: str) -> None:
    data = encode(draw(), kind)
    random = np.random.default_rng(1)
    for _ in range(300):
        mutant = bytearray(data)
        for position in random.integers(0, len(data), random.integers(1, 9)):
            mutant[position] = random.integers(0, 256)
        with contextlib.suppress(UndecodablePicture, UnsupportedUpload, TooManyPixels):
            assert read(bytes(mutant)).shape == (3, 8, 8)


@pytest.mark.parametrize(("width", "height"), [(9400, 9400), (65_500, 65_500), (1 << 30, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_too_many_pixels_are_refused_by_the_header(kind: str, width: int, height: int) -> None:
    data = _with_size(kind, width, height)
    tracemalloc.start()
    started_s = time.process_time()
    with pytest.raises(TooManyPixels) as caught:
        read(data)
    seconds = time.process_time() - started_s
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value) == f"The picture has too many pixels, must be at most {LIMIT}."
    assert seconds < 0.5
    assert peak < 5_000_000


def _with_size(kind: str, width: int, height: int) -> bytes:
    """A small picture whose header promises another size, as large as the format can."""
    data = bytearray(encode(draw(16, 16), kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "PNG":
        return png_of_chunks(width, height, [(b"IDAT", b"")])
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        struct.pack_into(">HH", data, at, min(height, 65_500) if height > 1 else 65_500, min(width, 65_500))
    else:
        at = data.index(b"VP8L") + 9
        (bits,) = struct.unpack_from("<I", data, at)
        struct.pack_into("<I", data, at, (bits & ~0xFFFFFFF) | 16_382 | (16_382 << 14))
    return bytes(data)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_damaged(width: int, height: int) -> None:
    with pytest.raises(UndecodablePicture):
        read(png_of_chunks(width, height, [(b"IDAT", zlib.compress(b""))]))


def test_the_limit_itself_is_allowed() -> None:
    assert read_picture(blank_png(20, 10), RGB, 200).shape == (3, 8, 8)
    with pytest.raises(TooManyPixels):
        read_picture(blank_png(201, 1), RGB, 200)


def test_a_text_that_inflates_is_refused() -> None:
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000, 9)
    with pytest.raises(UndecodablePicture):
        read(png_of_chunks(8, 8, [(b"zTXt", bomb), (b"IDAT", zlib.compress(b"\0" * 25 * 8))]))


def test_a_hundred_thousand_chunks_take_bounded_time() -> None:
    chunks = [(b"tEXt", b"a\0b")] * 100_000
    data = png_of_chunks(8, 8, [*chunks, (b"IDAT", zlib.compress(b"\0" * 25 * 8))])
    started_s = time.process_time()
    assert read(data).shape == (3, 8, 8)
    assert time.process_time() - started_s < 5


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = encode(draw(64, 64), "JPEG", progressive=True)
    assert read(data).shape == (3, 8, 8)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    bomb = data[:-2] + last_scan * (MAX_JPEG_SCANS + 1) + data[-2:]
    with pytest.raises(UndecodablePicture) as caught:
        read(bomb)
    assert str(caught.value) == f"The JPEG has more than {MAX_JPEG_SCANS} scans."


def test_a_png_called_jpeg_is_read_by_its_content() -> None:
    with Image.open(io.BytesIO(png())) as picture:
        assert picture.format == "PNG"
    assert read(png()).shape == (3, 8, 8)


def test_small_is_what_has_few_bytes_and_few_pixels() -> None:
    assert is_small(png(64, 64))
    for data in (png(65, 64), png() + bytes(8192), png()[:20], encode(draw(), "JPEG"), b""):
        assert not is_small(data)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"tEXt", b"eXIf", b"acTL", b"none"])
def test_a_png_with_chunks_that_may_inflate_is_not_small(kind: bytes) -> None:
    text = b"a\0\0" + zlib.compress(bytes(1 << 20))
    assert not is_small(png_with(kind, text))


def test_a_png_of_many_chunks_is_not_small() -> None:
    data = png()
    for _ in range(3):
        data = data[:33] + png_with(b"pHYs", bytes(9))[33:54] + data[33:]
    assert is_small(data)
    for _ in range(16):
        data = data[:33] + png_with(b"pHYs", bytes(9))[33:54] + data[33:]
    assert not is_small(data)
