"""Cut a bundle into its sections, change them, and put it together again with lengths and digest that fit.

Written without `model_store`, so that a fault there does not hide itself here.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

PREFIX = b"\x89CSRVE\r\n\x01\x00\x00\x00"
BOUNDARIES = (0, 1, 2, 127, 128, 255, 256, 1023, 1024, 65_535, 65_536, 2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**32 - 1)
HUGE = (2**48 - 1, 2**48, 2**62, 2**63 - 1)


def varint(value: int) -> bytes:
    """LEB128."""
    data = bytearray()
    while value >= 128:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def seal(body: bytes) -> bytes:
    """Append the digest."""
    return body + hashlib.sha256(body).digest()


def split(data: bytes) -> list[bytes]:
    """The contents of the sections of a sound bundle."""
    contents, at = [], len(PREFIX)
    while at < len(data) - 32:
        at, length, place = at + 1, 0, 0
        while True:
            length |= (data[at] & 127) << place
            at, place = at + 1, place + 7
            if data[at - 1] < 128:
                break
        contents.append(data[at : at + length])
        at += length
    return contents


def join(contents: Sequence[bytes]) -> bytes:
    """A file of these sections."""
    parts = [bytes([number]) + varint(len(content)) + content for number, content in enumerate(contents, 1)]
    return seal(PREFIX + b"".join(parts))


def with_section(data: bytes, number: int, content: bytes) -> bytes:
    """The file with another content of section `number`."""
    contents = split(data)
    contents[number - 1] = content
    return join(contents)


def mutate(data: bytes, generator: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """Change one section or two, and seal the file anew."""
    contents = split(data)
    for _ in range(int(generator.integers(1, 3))):
        section = int(generator.choice(7, p=(0.1, 0.2, 0.1, 0.1, 0.2, 0.25, 0.05)))
        if others and generator.random() < 0.1:
            contents[section] = split(others[int(generator.integers(len(others)))])[section]
        else:
            contents[section] = _change(contents[section], generator)
    return join(contents)


def _change(content: bytes, generator: np.random.Generator) -> bytes:
    at = int(generator.integers(len(content) + 1))
    size = int(generator.integers(1, 5))
    kind = int(generator.integers(7))
    if kind == 0 and at < len(content):
        return content[:at] + bytes([content[at] ^ 1 << int(generator.integers(8))]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + generator.bytes(size) + content[at + size :]
    if kind == 2:
        return content[:at] + generator.bytes(size) + content[at:]
    if kind == 3:
        return content[:at] + content[at + size :]
    if kind == 4:
        return content[:at] + content[at : at + size] * 2 + content[at + size :]
    if kind == 5 and at < len(content):
        return content[:at] + bytes([(content[at] + int(generator.choice((-1, 1)))) % 256]) + content[at + 1 :]
    numbers = BOUNDARIES + HUGE
    return content[:at] + varint(numbers[int(generator.integers(len(numbers)))]) + content[at + 1 :]
