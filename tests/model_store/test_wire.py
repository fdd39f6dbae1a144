import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import BundleTooLarge, MalformedBundle, TruncatedBundle
from model_store.wire import Reader, Writer, check_text

LARGEST = (1 << 63) - 1


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        ((1 << 32) - 1, "ffffffff0f"),
        (LARGEST, "ffffffffffffffff7f"),
    ],
)
def test_varint_has_the_bytes_of_leb128(value: int, spelling: str) -> None:
    assert Writer().varint(value).done().hex() == spelling
    reader = Reader(bytes.fromhex(spelling), "here")
    assert reader.varint("count", 0, LARGEST) == value
    reader.finish()


@given(st.integers(0, LARGEST))
def test_varint_round_trips(value: int) -> None:
    assert Reader(Writer().varint(value).done(), "here").varint("count", 0, LARGEST) == value


@pytest.mark.parametrize("spelling", ["8000", "808000", "ff00", "808080808080808000"])
def test_varint_refuses_all_but_the_shortest_spelling(spelling: str) -> None:
    with pytest.raises(MalformedBundle, match=r"^here: count is not in its shortest form$"):
        Reader(bytes.fromhex(spelling), "here").varint("count", 0, LARGEST)


@pytest.mark.parametrize("spelling", ["80808080808080808001", "ffffffffffffffffff01", "80" * 9 + "00", "ff" * 9])
def test_varint_refuses_a_tenth_byte(spelling: str) -> None:
    with pytest.raises(BundleTooLarge, match=r"^here: count is longer than 9 bytes$"):
        Reader(bytes.fromhex(spelling), "here").varint("count", 0, LARGEST)


@pytest.mark.parametrize("spelling", ["", "80", "ffffffff"])
def test_varint_refuses_to_end_early(spelling: str) -> None:
    with pytest.raises(TruncatedBundle, match=r"^here: count needs 1 bytes, 0 are left$"):
        Reader(bytes.fromhex(spelling), "here").varint("count", 0, LARGEST)


@given(st.lists(st.integers(0, 1 << 16), max_size=8))
def test_small_varints_are_what_varints_would_be(values: list[int]) -> None:
    writer = Writer()
    for value in values:
        writer.varint(value)
    reader = Reader(writer.raw(b"rest").done(), "here")
    assert reader.small_varints("side", len(values), 1 << 16) == tuple(values)
    assert reader.take(4, "rest") == b"rest"
    reader.finish()


@pytest.mark.parametrize("spelling", ["", "01", "0102", "010280"])
def test_small_varints_refuse_to_end_early(spelling: str) -> None:
    with pytest.raises(TruncatedBundle, match=r"^here: side needs 1 bytes, 0 are left$"):
        Reader(bytes.fromhex(spelling), "here").small_varints("side", 3, 1 << 16)


def test_small_varints_refuse_what_varint_refuses() -> None:
    with pytest.raises(BundleTooLarge, match=r"^here: side = 65537, must be <= 65536$"):
        Reader(bytes.fromhex("01818004"), "here").small_varints("side", 2, 1 << 16)
    with pytest.raises(MalformedBundle, match=r"^here: side is not in its shortest form$"):
        Reader(bytes.fromhex("018000"), "here").small_varints("side", 2, 1 << 16)


def test_varint_holds_both_ends_of_its_range() -> None:
    assert [Reader(bytes([value]), "here").varint("count", 3, 9) for value in (3, 9)] == [3, 9]
    with pytest.raises(BundleTooLarge, match=r"^here: count = 10, must be <= 9$"):
        Reader(b"\x0a", "here").varint("count", 3, 9)
    with pytest.raises(MalformedBundle, match=r"^here: count = 2, must be >= 3$"):
        Reader(b"\x02", "here").varint("count", 3, 9)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_round_trips_and_minus_zero_is_written_as_zero(value: float) -> None:
    data = Writer().float32(value).done()
    read = Reader(data, "here").float32("mean")
    assert read == value
    assert math.copysign(1, read) == (1 if value == 0 else math.copysign(1, value))


def test_float32_that_rounds_to_minus_zero_is_written_as_zero() -> None:
    assert Writer().float32(-1e-60).done() == bytes(4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_float32_refuses_what_is_not_finite_and_minus_zero(value: float) -> None:
    with pytest.raises(MalformedBundle, match=rf"^here: mean = {value}, must be finite and not -0$"):
        Reader(struct.pack("<f", value), "here").float32("mean")


def test_text_is_its_length_and_utf8() -> None:
    assert Writer().text("né").done() == b"\x03n\xc3\xa9"
    assert Reader(b"\x03n\xc3\xa9", "here").text("name") == "né"


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=64))
def test_text_that_passes_the_check_round_trips(value: str) -> None:
    try:
        check_text(value, "here")
    except MalformedBundle:
        return
    assert Reader(Writer().text(value).done(), "here").text("name") == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x00", "here: name length = 0, must be >= 1"),
        (b"\x01\xff", "here: name is not UTF-8 (invalid start byte)"),
        (b"\x02\xc0\x80", "here: name is not UTF-8 (invalid start byte)"),
        (b"\x03\xed\xa0\x80", "here: name is not UTF-8 (invalid continuation byte)"),
        (b"\x04\xf4\x90\x80\x80", "here: name is not UTF-8 (invalid continuation byte)"),
        (b"\x03e\xcc\x81", "here: name: 'e\u0301', must be in normal form C"),
        (b"\x02a\x00", r"here: name: 'a\x00', must hold no control character"),
        (b"\x02a\x7f", r"here: name: 'a\x7f', must hold no control character"),
        (b"\x03\xe2\x80\xa8", r"here: name: '\u2028', must hold no control character"),
        (b"\x05abc", "here: name needs 5 bytes, 3 are left"),
        (b"\x81\x02" + b"a" * 257, "here: name length = 257, must be <= 256"),
    ],
)
def test_text_refuses_every_other_spelling(raw: bytes, message: str) -> None:
    with pytest.raises((MalformedBundle, TruncatedBundle, BundleTooLarge)) as caught:
        Reader(raw, "here").text("name")
    assert str(caught.value) == message


def test_text_is_measured_in_bytes() -> None:
    check_text("é" * 128, "here")
    for text in ("", "é" * 129):
        with pytest.raises(MalformedBundle, match=r", must be 1\.\.256 bytes of UTF-8$"):
            check_text(text, "here")


def test_check_text_refuses_a_lone_surrogate() -> None:
    with pytest.raises(MalformedBundle, match="must hold no control character"):
        check_text("\ud800", "here")


def test_take_copies_and_view_does_not() -> None:
    data = bytes(range(8))
    reader = Reader(data, "here")
    assert reader.take(3, "a") == b"\x00\x01\x02"
    view = reader.view(5, "b")
    assert view.obj is data
    assert view == data[3:]
    reader.finish()


def test_reading_past_the_end_and_stopping_before_it_are_refused() -> None:
    reader = Reader(b"abc", "here")
    with pytest.raises(TruncatedBundle, match=r"^here: field needs 4 bytes, 3 are left$"):
        reader.take(4, "field")
    reader.take(1, "field")
    with pytest.raises(MalformedBundle, match=r"^here: 2 bytes after its end, must be 0$"):
        reader.finish()
