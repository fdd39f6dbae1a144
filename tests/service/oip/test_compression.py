import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BodyTooLarge, InvalidUpload, UnsupportedUpload
from service.oip.compression import choose_coding, compress, decompress

ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress}


@given(st.binary(max_size=500), st.sampled_from(["gzip", "deflate"]))
def test_both_codings_both_ways(body: bytes, coding: str) -> None:
    assert decompress(ENCODERS[coding](body), coding, 500) == body
    compressed = compress(body, coding)
    assert (gzip.decompress(compressed) if coding == "gzip" else zlib.decompress(compressed)) == body


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_no_coding_leaves_a_body_alone(encoding: str) -> None:
    assert decompress(b"abc", encoding, 3) == b"abc"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "x-gzip", "zstd", "gzip;q=1"])
def test_other_codings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedUpload) as caught:
        decompress(b"abc", encoding, 3)
    assert str(caught.value) == "Content-Encoding must be gzip, deflate or identity."


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_limit_counts_what_comes_out(coding: str) -> None:
    assert decompress(ENCODERS[coding](b"x" * 1000), coding, 1000) == b"x" * 1000
    with pytest.raises(BodyTooLarge) as caught:
        decompress(ENCODERS[coding](b"x" * 1001), coding, 1000)
    assert str(caught.value) == "The body is too large, must be at most 1000 bytes uncompressed."


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_takes_no_more_memory_than_the_limit(coding: str) -> None:
    bomb = ENCODERS[coding](b"\0" * (64 << 20))
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        decompress(bomb, coding, 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_damaged_body_is_refused(coding: str) -> None:
    body = ENCODERS[coding](b"some text, some more text")
    for damaged in (b"", b"x", body[:-1], body[:5], b"\0" + body, body + b"x", body + body):
        with pytest.raises(InvalidUpload, match="^body: "):
            decompress(damaged, coding, 1000)


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_decompressed_or_refused(body: bytes, coding: str) -> None:
    with contextlib.suppress(InvalidUpload, BodyTooLarge):
        assert len(decompress(body, coding, 1000)) <= 1000


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0", ""),
        ("gzip;q=0, deflate ; q=0.1", "deflate"),
        ("br, zstd", ""),
        ("*", ""),
        ("gzip;q=x", ""),
        ("identity", ""),
        ("," * 100_000 + "gzip", ""),
    ],
)
def test_the_coding_the_client_likes_best_is_chosen(accepted: str, coding: str) -> None:
    assert choose_coding(accepted) == coding
