"""Where a bundle comes from: one canonical JSON object of plain values."""

import json
import math
from typing import Any

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.limits import MAX_PROVENANCE_BYTES, MAX_PROVENANCE_DEPTH

Provenance = dict[str, Any]


def encode_provenance(provenance: Provenance) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII, shortest floats.

    Raises:
        MalformedBundle: a value JSON cannot carry exactly. BundleTooLarge: too long or nested too deep.
    """
    _check(provenance, MAX_PROVENANCE_DEPTH)
    encoded = json.dumps(provenance, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(encoded) > MAX_PROVENANCE_BYTES:
        raise BundleTooLarge(f"provenance: {len(encoded)} bytes, must be <= {MAX_PROVENANCE_BYTES}")
    return encoded


def decode_provenance(data: bytes) -> Provenance:
    """Parse canonical JSON; any other spelling of the same object is refused.

    Raises:
        MalformedBundle: it is not JSON, not an object, or not canonical. BundleTooLarge: too long or too deep.
    """
    if len(data) > MAX_PROVENANCE_BYTES:
        raise BundleTooLarge(f"provenance: {len(data)} bytes, must be <= {MAX_PROVENANCE_BYTES}")
    try:
        provenance = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise MalformedBundle(f"provenance: not JSON in ASCII ({type(error).__name__})") from None
    if not isinstance(provenance, dict) or encode_provenance(provenance) != data:
        raise MalformedBundle("provenance: must be one JSON object in canonical form")
    return provenance


def _check(value: object, depth: int) -> None:
    if isinstance(value, dict | list | tuple) and not depth:
        raise BundleTooLarge(f"provenance: nested deeper than {MAX_PROVENANCE_DEPTH}")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise MalformedBundle(f"provenance: key {key!r}, must be a string")
            _check_text(key)
            _check(member, depth - 1)
    elif isinstance(value, list | tuple):
        for member in value:
            _check(member, depth - 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise MalformedBundle(f"provenance: {value}, must be finite")
    elif isinstance(value, int):
        if abs(value) >= 1 << 63:
            raise MalformedBundle("provenance: an integer of more than 63 bits, must be smaller")
    elif value is not None:
        raise MalformedBundle(f"provenance: a {type(value).__name__}, must be a JSON value")


def _check_text(text: str) -> None:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise MalformedBundle("provenance: a lone surrogate, must be valid Unicode")
