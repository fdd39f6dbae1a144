import numpy as np
import pytest

from model_store.errors import BundleError
from model_store.sections.codebooks import read_codebooks, write_codebooks
from model_store.wire import Reader
from tests.model_store.mutation import varint

RULE = "codebook must rise strictly, be finite and hold no 0"


def read(data: bytes) -> list[list[float]]:
    return [codebook.tolist() for codebook in read_codebooks(Reader(data, "codebooks"))]


def test_entries_are_float16_little_endian() -> None:
    data = b"\x02" + b"\x02\x00\xbc\x00\x38" + b"\x01\x01\x00"
    assert b"".join(write_codebooks([np.array([-1, 0.5], np.float16), np.array([2**-24], np.float16)])) == data
    assert read(data) == [[-1, 0.5], [2**-24]]


def test_no_codebooks_are_one_byte() -> None:
    assert write_codebooks([]) == [b"\x00"]
    assert read(b"\x00") == []


def test_the_largest_codebook_round_trips() -> None:
    codebook = np.arange(1, 1023).astype(np.float16)
    assert read(b"".join(write_codebooks([codebook]))) == [codebook.tolist()]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (varint(65_537), "BundleTooLarge: codebooks: number of codebooks = 65537, must be <= 65536"),
        (b"\x01\x00", "MalformedBundle: codebooks: entries of codebook 0 = 0, must be >= 1"),
        (b"\x01" + varint(1023), "BundleTooLarge: codebooks: entries of codebook 0 = 1023, must be <= 1022"),
        (b"\x01\x02\x00\xbc\x00", "TruncatedBundle: codebooks: codebook 0 needs 4 bytes, 3 are left"),
        (b"\x01\x01\x00\x00", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x01\x01\x00\x80", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x01\x01\x00\x7c", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x01\x01\x01\x7e", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x01\x02\x00\x38\x00\x38", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x01\x02\x00\x38\x00\xbc", f"MalformedBundle: codebooks: codebook 0: {RULE}"),
        (b"\x00\x00", "MalformedBundle: codebooks: 1 bytes after its end, must be 0"),
    ],
)
def test_every_refusal_names_its_codebook(data: bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        read(data)
    assert f"{type(caught.value).__name__}: {caught.value}" == message
