"""Content codings gzip and deflate (which is zlib's format, RFC 9110 section 8.4.1.2), both ways and bounded."""

import re
import zlib

from service.errors import BodyTooLarge, InvalidUpload, UnsupportedUpload

MIN_COMPRESSED_BYTES = 1024
"""Shorter answers are sent as they are: compressing them costs time and saves no packet."""

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_LEVEL = 1
_OFFER = re.compile(r"\s*([a-z0-9*\-]+)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)
_MAX_OFFERS = 16


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A request's body as it was before its Content-Encoding.

    Raises:
        UnsupportedUpload: another coding than gzip, deflate or identity, or several.
        BodyTooLarge: more than `max_bytes` come out; not one more is made.
        InvalidUpload: damaged, cut short, or with something behind it.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOW_BITS:
        raise UnsupportedUpload("Content-Encoding must be gzip, deflate or identity.")
    inflater = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        raise InvalidUpload(f"body: damaged, must be {coding}") from None
    if len(plain) > max_bytes:
        raise BodyTooLarge(f"The body is too large, must be at most {max_bytes} bytes uncompressed.")
    if not inflater.eof:
        raise InvalidUpload(f"body: {coding} that is cut short, must be whole")
    if inflater.unused_data:
        raise InvalidUpload(f"body: {len(inflater.unused_data)} bytes after the end of the {coding} data, must be none")
    return plain


def choose_coding(accept_encoding: str) -> str:
    """The coding of an answer: that of gzip and deflate which the client likes best, "" for none.

    A client that names neither, or refuses both, gets the answer as it is.
    """
    weights = dict.fromkeys(_WINDOW_BITS, 0.0)
    for offer in accept_encoding.split(",")[:_MAX_OFFERS]:
        match = _OFFER.fullmatch(offer)
        if match and match[1].lower() in weights:
            weights[match[1].lower()] = float(match[2] or 1)
    best = max(weights, key=lambda coding: weights[coding])
    return best if weights[best] > 0 else ""


def compress(body: bytes, coding: str) -> bytes:
    """A body in gzip or deflate."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[coding])
    return deflater.compress(body) + deflater.flush()
