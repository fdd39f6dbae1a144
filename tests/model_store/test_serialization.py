import hashlib
import re

import pytest

import model_store.serialization as serialization_module
from model_store.bundle import encode_bundle
from model_store.errors import BundleError, BundleTooLarge, DigestMismatch, TruncatedBundle
from model_store.serialization import MAGIC, PREFIX, parse, serialize
from tests.model_store.examples import residual_bundle, smallest_bundle
from tests.model_store.mutation import join, seal, split

DATA = encode_bundle(smallest_bundle())


def test_a_file_begins_with_magic_version_and_flags_and_ends_with_its_digest() -> None:
    assert DATA[:12].hex() == "894353525645" + "0d0a" + "0100" + "0000"
    assert DATA[:8] == MAGIC
    assert DATA[-32:] == hashlib.sha256(DATA[:-32]).digest()


@pytest.mark.parametrize("data", [DATA, encode_bundle(residual_bundle(provenance={"a": [1, 0.5]}))])
def test_what_is_parsed_serializes_to_the_same_bytes(data: bytes) -> None:
    assert serialize(parse(data)) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "MalformedBundle: bundle: begins with , must begin with 89435352564 50d0a"),
        (b"PK\x03\x04", "MalformedBundle: bundle: begins with 504b0304, must begin with 89435352564 50d0a"),
        (MAGIC, "TruncatedBundle: bundle: 8 bytes, must be at least 44"),
        (PREFIX, "TruncatedBundle: bundle: 12 bytes, must be at least 44"),
        (DATA[:43], "TruncatedBundle: bundle: 43 bytes, must be at least 44"),
        (seal(MAGIC + b"\x02\x00\x00\x00"), "UnsupportedBundle: bundle: version 2, must be 1"),
        (seal(MAGIC + b"\x00\x00\x00\x00"), "UnsupportedBundle: bundle: version 0, must be 1"),
        (seal(MAGIC + b"\x01\x00\x00\x80"), "UnsupportedBundle: bundle: flags 0x8000, must be 0"),
        (seal(PREFIX), "TruncatedBundle: bundle: number of section 'identity' needs 1 bytes, 0 are left"),
        (seal(PREFIX + b"\x02\x00"), "MalformedBundle: bundle: section number 2, must be 1 (identity)"),
        (seal(PREFIX + b"\x01\x05abc"), "TruncatedBundle: bundle: identity needs 5 bytes, 3 are left"),
        (seal(DATA[:-32] + b"\x00"), "MalformedBundle: bundle: 1 bytes after its end, must be 0"),
        (
            DATA[:-1] + b"\x00",
            "DigestMismatch: bundle: its SHA-256 is not that of its bytes: it was damaged or cut",
        ),
    ],
)
def test_the_frame_is_refused_with_place_rule_and_value(data: bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse(data)
    assert f"{type(caught.value).__name__}: {caught.value}" == message.replace("4 5", "45")


def test_sections_stand_in_their_order_and_once() -> None:
    contents = split(DATA)
    assert join(contents) == DATA
    body = DATA[12:-32]
    first = body[: 2 + len(contents[0])]
    for changed in (first + body, body[len(first) :], body[len(first) :] + first, body + body[-4:]):
        with pytest.raises(BundleError, match=re.escape("bundle: ")):
            parse(seal(PREFIX + changed))


def test_the_digest_is_checked_before_any_section() -> None:
    with pytest.raises(DigestMismatch):
        parse(PREFIX + b"\xff" * 100)
    with pytest.raises(TruncatedBundle):
        parse(seal(PREFIX + b"\x01" + b"\x7f"))


def test_a_file_past_the_limit_is_neither_written_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization_module, "MAX_BUNDLE_BYTES", len(DATA))
    coded = parse(DATA)
    assert serialize(coded) == DATA
    monkeypatch.setattr(serialization_module, "MAX_BUNDLE_BYTES", len(DATA) - 1)
    for operation in (lambda: parse(DATA), lambda: serialize(coded)):
        with pytest.raises(BundleTooLarge, match=r"^bundle: 129 bytes, must be <= 128$"):
            operation()
