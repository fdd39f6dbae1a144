"""Read and write the format's primitive fields. Every value has exactly one encoding."""

import math
import struct
import unicodedata
from collections.abc import Sequence

from model_store.errors import BundleTooLarge, MalformedBundle, TruncatedBundle
from model_store.limits import MAX_TEXT_BYTES

MAX_VARINT_BYTES = 9  # 63 bits
MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
MIN_FLOAT32 = 2.0**-149  # the smallest above 0


class Reader:
    """A cursor over bytes that refuses to leave them."""

    def __init__(self, data: bytes | memoryview, place: str) -> None:
        self._data = memoryview(data)
        self._position = 0
        self.place = place

    @property
    def remaining(self) -> int:
        return len(self._data) - self._position

    def take(self, size: int, field: str) -> bytes:
        """A copy of the next `size` bytes."""
        return bytes(self.view(size, field))

    def view(self, size: int, field: str) -> memoryview:
        """The next `size` bytes, not copied."""
        if size > self.remaining:
            raise TruncatedBundle(f"{self.place}: {field} needs {size} bytes, {self.remaining} are left")
        start = self._position
        self._position += size
        return self._data[start : self._position]

    def byte(self, field: str) -> int:
        position = self._position
        if position == len(self._data):
            raise self._cut(field)
        self._position = position + 1
        return self._data[position]

    def varint(self, field: str, low: int, high: int) -> int:
        """An unsigned LEB128 integer in its shortest form, within low..high."""
        position = self._position
        if position < len(self._data) and low <= (byte := self._data[position]) < 0x80 and byte <= high:
            self._position = position + 1  # a bundle has thousands of these, most of one byte
            return byte
        return self._long_varint(field, low, high)

    def small_varints(self, field: str, count: int, high: int) -> tuple[int, ...]:
        """So many of 0..`high`, which is 127 or more. Most are of one byte: those are read at once."""
        raw = self._data[self._position : self._position + count].tobytes()
        if len(raw) == count and raw.isascii():
            self._position += count
            return tuple(raw)
        return tuple(self.varint(field, 0, high) for _ in range(count))

    def varints(self, field: str, bounds: Sequence[tuple[int, int]]) -> tuple[int, ...]:
        """One after the other, each within its own bounds. Most are of two or three bytes: those are read here."""
        start, at = self._position, 0
        raw = bytes(self._data[start : start + 3 * len(bounds)]) + b"\x80\x80\x80"
        values = []
        for low, high in bounds:
            first, second, third = raw[at], raw[at + 1], raw[at + 2]
            if first >= 0x80 > second > 0:
                value, size = first - 0x80 | second << 7, 2
            elif first >= 0x80 and second >= 0x80 > third > 0:
                value, size = first - 0x80 | second - 0x80 << 7 | third << 14, 3
            else:
                value, size = -1, 0
            if not low <= value <= high:
                self._position = start + at
                value = self.varint(field, low, high)
                size = self._position - start - at
            values.append(value)
            at += size
        self._position = start + at
        return tuple(values)

    def _long_varint(self, field: str, low: int, high: int) -> int:
        data, position, size = self._data, self._position, len(self._data)
        value, shift, byte = 0, 0, 0x80
        while byte >= 0x80:
            if shift == 7 * MAX_VARINT_BYTES:
                raise BundleTooLarge(f"{self.place}: {field} is longer than {MAX_VARINT_BYTES} bytes")
            if position == size:
                raise self._cut(field)
            byte = data[position]
            value |= (byte & 0x7F) << shift
            shift += 7
            position += 1
        if byte == 0 and shift > 7:
            raise MalformedBundle(f"{self.place}: {field} is not in its shortest form")
        self._position = position
        if value > high:
            raise BundleTooLarge(f"{self.place}: {field} = {value}, must be <= {high}")
        if value < low:
            raise MalformedBundle(f"{self.place}: {field} = {value}, must be >= {low}")
        return value

    def _cut(self, field: str) -> TruncatedBundle:
        return TruncatedBundle(f"{self.place}: {field} needs 1 bytes, 0 are left")

    def float32(self, field: str) -> float:
        value: float = struct.unpack("<f", self.take(4, field))[0]
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            raise MalformedBundle(f"{self.place}: {field} = {value}, must be finite and not -0")
        return value

    def text(self, field: str) -> str:
        """UTF-8 in NFC without control characters, 1 byte or more."""
        raw = self.take(self.varint(f"{field} length", 1, MAX_TEXT_BYTES), field)
        try:
            value = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedBundle(f"{self.place}: {field} is not UTF-8 ({error.reason})") from None
        check_text(value, f"{self.place}: {field}")
        return value

    def finish(self) -> None:
        """Refuse bytes that nobody read."""
        if self.remaining:
            raise MalformedBundle(f"{self.place}: {self.remaining} bytes after its end, must be 0")


def check_text(value: str, place: str) -> None:
    """Refuse text that is empty, too long, not NFC, or holds control characters."""
    if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= MAX_TEXT_BYTES:
        raise MalformedBundle(f"{place}: {value[:40]!r}, must be 1..{MAX_TEXT_BYTES} bytes of UTF-8")
    if unicodedata.normalize("NFC", value) != value:
        raise MalformedBundle(f"{place}: {value[:40]!r}, must be in normal form C")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value):
        raise MalformedBundle(f"{place}: {value[:40]!r}, must hold no control character")


class Writer:
    """Collects fields; the mirror of `Reader`."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def raw(self, data: bytes) -> "Writer":
        self._parts += data
        return self

    def byte(self, value: int) -> "Writer":
        self._parts.append(value)
        return self

    def varint(self, value: int) -> "Writer":
        while value >= 0x80:
            self._parts.append(value & 0x7F | 0x80)
            value >>= 7
        self._parts.append(value)
        return self

    def float32(self, value: float) -> "Writer":
        """The nearest float32; -0, and what rounds to it, becomes 0. Callers check that it is finite."""
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
        return self.raw(struct.pack("<f", rounded + 0.0))

    def text(self, value: str) -> "Writer":
        encoded = value.encode()
        return self.varint(len(encoded)).raw(encoded)

    def done(self) -> bytes:
        return bytes(self._parts)
