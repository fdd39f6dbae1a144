"""Scale and bias in 8 bits: a vector's values as offset + step * code, and how they stand in the file."""

import struct

import numpy as np

from model_store.errors import MalformedBundle
from model_store.tensors import AffineTensor

MAX_CODE = 255
_LARGEST = float(np.finfo(np.float16).max)
_FIELDS = struct.Struct("<ee")  # offset and step


def affine_bytes(elements: int) -> int:
    """Bytes of the payload of that many values."""
    return _FIELDS.size + elements


def fit_affine(values: np.ndarray) -> AffineTensor:
    """The nearest codes between the least value and the largest: off by half a step and float16's rounding at most, or
    by a step where the largest is that of float16.

    Raises:
        BundleError: a value passes float16.
    """
    exact = values.astype(np.float64)
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(exact.astype(np.float16)).all())
    if not finite:
        raise MalformedBundle(f"8-bit tensor: values of {exact.min()} to {exact.max()}, must be within float16")
    offset = float(np.float16(exact.min())) + 0.0
    step = np.float16((exact.max() - offset) / MAX_CODE)
    while MAX_CODE * float(step) < exact.max() - offset:
        step = np.nextafter(step, np.float16(np.inf))
    if step <= 0:  # all the same: any step does
        step = np.float16(1)
    highest = min(MAX_CODE, (_LARGEST - offset) // float(step))
    codes = np.clip(np.rint((exact - offset) / float(step)), 0, highest)
    return AffineTensor(offset, float(step), codes.astype(np.uint8))


def encode_affine(tensor: AffineTensor) -> bytes:
    """The payload: offset and step as float16, little-endian, then the codes, row-major."""
    return _FIELDS.pack(tensor.offset, tensor.step) + tensor.codes.tobytes()


def decode_affine(payload: bytes, shape: tuple[int, ...], place: str) -> AffineTensor:
    """The inverse.

    Raises:
        MalformedBundle: offset, step or a value is not finite, or not what the format allows.
    """
    offset, step = _FIELDS.unpack_from(payload)
    codes = np.frombuffer(payload, dtype=np.uint8, offset=_FIELDS.size).reshape(shape)
    try:
        return AffineTensor(offset, step, codes)
    except MalformedBundle as error:
        raise MalformedBundle(f"{place}: {error}") from None
