"""What both halves of the reference decoder need: refusals, nodes, and section 1 of docs/bundle_format.md."""

import math
import struct
import unicodedata
from dataclasses import dataclass
from typing import NoReturn


class Refused(Exception):
    """The bytes break a rule of the document."""


def refuse(rule: str) -> NoReturn:
    raise Refused(rule)


def require(holds: bool, rule: str) -> None:
    if not holds:
        refuse(rule)


@dataclass(frozen=True, slots=True)
class ReferenceNode:
    operator: str
    inputs: tuple[int, ...]
    tensors: tuple[int, ...]
    name: str
    attributes: tuple[float, ...]


class Cursor:
    """Section 1: the primitive fields, read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        require(self.at + count <= len(self.data), "ends within a field")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def varint(self, low: int = 0, high: int = 2**63 - 1) -> int:
        value = 0
        for place in range(9):
            byte = self.u8()
            value |= (byte & 127) << 7 * place
            if byte < 128:
                require(byte != 0 or place == 0, "varint not in its shortest form")
                require(low <= value <= high, f"varint {value} outside {low} to {high}")
                return value
        refuse("varint of 10 bytes")

    def f32(self) -> float:
        value = float(struct.unpack("<f", self.take(4))[0])
        require(math.isfinite(value), "f32 not finite")
        require(value != 0 or math.copysign(1, value) == 1, "f32 is -0")
        return value

    def f16(self) -> float:
        value = float(struct.unpack("<e", self.take(2))[0])
        require(math.isfinite(value), "f16 not finite")
        return value

    def text(self) -> str:
        data = self.take(self.varint(1, 256))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            refuse("text not UTF-8")
        require(unicodedata.normalize("NFC", text) == text, "text not in form C")
        require(all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in text), "control character")
        return text

    def end(self) -> None:
        require(self.at == len(self.data), "bytes left over")
