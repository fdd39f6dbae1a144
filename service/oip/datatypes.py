"""The three datatypes that models here take and give: UINT8, FP32 and BYTES, in bytes and in JSON.

Bytes are little-endian, row by row, without padding; an element of BYTES is its length as uint32, then itself. JSON is
a list, flat or nested as the shape; an element of BYTES is a string, which stands for its UTF-8.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from service.errors import InvalidInference
from service.oip.fields import show

BYTES = "BYTES"
UINT8 = "UINT8"
FP32 = "FP32"

Numbers = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

_DTYPES: dict[str, np.dtype[Any]] = {UINT8: np.dtype(np.uint8), FP32: np.dtype("<f4")}
_LARGEST = float(np.finfo(np.float32).max)


def decode_numbers(data: memoryview | list[object], datatype: str, shape: Sequence[int], place: str) -> Numbers:
    """A tensor of UINT8 or FP32, of the shape it says it has.

    Raises:
        InvalidInference: too few or too many elements, one that is no such number, or one that is not finite.
    """
    if isinstance(data, list):
        return _numbers_of_json(_flatten(data, shape, place), datatype, place).reshape(shape)
    dtype = _DTYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise InvalidInference(f"{place}: {len(data)} bytes, must be {expected} for {datatype} of {list(shape)}")
    numbers = np.frombuffer(data, dtype).reshape(shape)
    if datatype == FP32 and not np.isfinite(numbers).all():
        raise InvalidInference(f"{place}: element {int(np.argmin(np.isfinite(numbers)))} is not finite, must be")
    return numbers


def decode_texts(data: memoryview | list[object], count: int, place: str) -> list[bytes]:
    """The elements of a BYTES tensor of that many.

    Raises:
        InvalidInference: too few or too many elements, or one that is cut short or no text.
    """
    if isinstance(data, list):
        return [_text(value, f"{place}[{index}]") for index, value in enumerate(_flatten(data, (count,), place))]
    texts: list[bytes] = []
    offset = 0
    for index in range(count):
        if offset + 4 > len(data):
            raise InvalidInference(f"{place}[{index}]: {len(data) - offset} bytes left, must be 4 for its length")
        (length,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if length > len(data) - offset:
            raise InvalidInference(f"{place}[{index}]: {length} bytes long, but {len(data) - offset} are left")
        texts.append(bytes(data[offset : offset + length]))
        offset += length
    if offset != len(data):
        raise InvalidInference(f"{place}: {len(data) - offset} bytes after the last of {count} elements, must be none")
    return texts


def encode_texts(texts: Iterable[bytes]) -> bytes:
    """A BYTES tensor's bytes."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _text(value: object, place: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidInference(f"{place} = {show(value)}, must be a string")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidInference(f"{place}: a lone surrogate, must be text") from None


def _flatten(data: list[object], shape: Sequence[int], place: str) -> list[object]:
    """The elements row by row, of a list that is flat, or nested as the shape."""
    sides = shape if data and isinstance(data[0], list) else (math.prod(shape),)
    level: list[object] = [data]
    for depth, side in enumerate(sides):
        for part in level:
            if not isinstance(part, list) or len(part) != side:
                found = f"{len(part)} elements" if isinstance(part, list) else show(part)
                raise InvalidInference(f"{place}: {found} at depth {depth}, must be a list of {side}")
        level = list(chain.from_iterable(level))  # type: ignore[arg-type]  # all are lists
    return level


def _numbers_of_json(values: list[object], datatype: str, place: str) -> Numbers:
    kinds = set(map(type, values))
    if not kinds <= ({int} if datatype == UINT8 else {int, float}):
        _refuse_number(values, datatype, place)
    if datatype == UINT8:
        if min(values, default=0) < 0 or max(values, default=0) > 255:  # type: ignore[type-var, operator]
            _refuse_number(values, datatype, place)
        return np.array(values, dtype=np.uint8)
    try:
        wide = np.array(values, dtype=np.float64)
    except OverflowError:  # a whole number beyond float64
        _refuse_number(values, datatype, place)
    if not (np.abs(wide) <= _LARGEST).all():
        _refuse_number(values, datatype, place)
    return wide.astype(np.float32)


def _refuse_number(values: list[object], datatype: str, place: str) -> NoReturn:
    rule = "a whole number in 0..255" if datatype == UINT8 else "a number that is finite in float32"
    index = next(index for index, value in enumerate(values) if not _fits(value, datatype))
    raise InvalidInference(f"{place}[{index}] = {show(values[index])}, must be {rule}")


def _fits(value: object, datatype: str) -> bool:
    if datatype == UINT8:
        return type(value) is int and 0 <= value <= 255
    return type(value) in (int, float) and abs(value) <= _LARGEST  # type: ignore[arg-type]
