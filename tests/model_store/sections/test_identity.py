import struct

import pytest

from model_store.coded import Identity
from model_store.errors import BundleError, BundleTooLarge, MalformedBundle, TruncatedBundle
from model_store.preprocessing import Preprocessing
from model_store.sections.identity import read_identity, write_identity
from model_store.wire import Reader
from tests.model_store.mutation import varint

IDENTITY = Identity("net", Preprocessing(2, 3, (0.5, 0.25), (1.0, 2.0)), ("no", "yes"), 300, 1200)
STATISTICS = struct.pack("<4f", 0.5, 0.25, 1, 2)
DATA = b"\x03net" + varint(300) + varint(1200) + bytes([2, 2, 3]) + STATISTICS + b"\x02\x02no\x03yes"


def read(data: bytes) -> Identity:
    return read_identity(Reader(data, "identity"))


def test_identity_has_these_bytes() -> None:
    assert write_identity(IDENTITY) == DATA
    assert read(DATA) == IDENTITY


@pytest.mark.parametrize("size", range(len(DATA)))
def test_every_prefix_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedBundle):
        read(DATA[:size])


def test_a_byte_too_many_is_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^identity: 1 bytes after its end, must be 0$"):
        read(DATA + b"\0")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (4, varint(0), "parameters = 0, must be >= 1"),
        (4, varint(1 << 48), f"parameters = {1 << 48}, must be <= {(1 << 48) - 1}"),
        (6, varint(0), "dense_bytes = 0, must be >= 1"),
        (6, varint(1 << 48), f"dense_bytes = {1 << 48}, must be <= {(1 << 48) - 1}"),
        (8, b"\x00", "channels = 0, must be >= 1"),
        (8, b"\x05", "channels = 5, must be <= 4"),
        (9, b"\x00", "height = 0, must be >= 1"),
        (9, varint(1025), "height = 1025, must be <= 1024"),
        (10, b"\x00", "width = 0, must be >= 1"),
        (10, varint(1025), "width = 1025, must be <= 1024"),
        (11, struct.pack("<f", float("nan")), "mean[0] = nan, must be finite and not -0"),
        (15, struct.pack("<f", -0.0), "mean[1] = -0.0, must be finite and not -0"),
        (23, struct.pack("<f", float("inf")), "std[1] = inf, must be finite and not -0"),
        (27, b"\x00", "classes = 0, must be >= 1"),
        (27, varint(65_537), "classes = 65537, must be <= 65536"),
    ],
)
def test_each_field_is_held_to_its_range(field: int, value: bytes, message: str) -> None:
    size = {4: 2, 6: 2, 11: 4, 15: 4, 23: 4}.get(field, 1)
    with pytest.raises(BundleError) as caught:
        read(DATA[:field] + value + DATA[field + size :])
    assert str(caught.value) == f"identity: {message}"


@pytest.mark.parametrize("deviation", [0.0, -1.0])
def test_a_deviation_is_positive(deviation: float) -> None:
    with pytest.raises(MalformedBundle, match=r"^preprocessing: std -?\d\.0, must be finite and positive in float32$"):
        read(DATA[:19] + struct.pack("<f", deviation) + DATA[23:])


def test_classes_have_different_names() -> None:
    with pytest.raises(MalformedBundle, match=r"^identity: two classes have the same name, must differ$"):
        read(DATA[:27] + b"\x02\x02no\x02no")


def test_65536_classes_are_accepted_and_one_more_refused() -> None:
    names = tuple(str(label) for label in range(65_537))
    preprocessing = IDENTITY.preprocessing
    largest = Identity("net", preprocessing, names[:-1], 1, 1)
    assert read(write_identity(largest)) == largest
    for classes in (names, ()):
        with pytest.raises(BundleTooLarge, match=rf"^identity: {len(classes)} classes, must be 1\.\.65536$"):
            Identity("net", preprocessing, classes, 1, 1)
