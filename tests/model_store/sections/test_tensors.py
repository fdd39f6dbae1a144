import pytest

from model_store.coded import CodedCodes, CodedContexts, CodedFloat, CodedSparse, CodedTensor, Layout
from model_store.errors import BundleError
from model_store.lanes import CodedStream
from model_store.sections.streams import NO_TABLE
from model_store.sections.tensors import read_tensors
from model_store.wire import Reader
from tests.model_store.mutation import varint

EMPTY = CodedStream(NO_TABLE, 0, (), b"")


def read(data: bytes, payload: bytes = b"") -> tuple[int, tuple[CodedTensor, ...]]:
    return read_tensors(Reader(data, "tensors"), Reader(payload, "payload"))


def test_each_layout_has_these_fields() -> None:
    data = (
        b"\x0c\x03"
        + b"\x00\x01\x02"
        + b"\x01\x02\x01\x03\x00\x00\x04"
        + b"\x03\x02\x02\x02\x01\x03\x01\x02\x01\x05\x00\x01"
    )
    payload = b"\x00\x3c\x00\xbc" + b"\xa0" + b"\xf8" + b"\x80"
    assert read(data, payload) == (
        12,
        (
            CodedFloat((2,), payload[:4]),
            CodedCodes((1, 3), 0, CodedStream(0, 3, (4,), b"\xa0")),
            CodedSparse(Layout.CSC, (2, 2), 1, 3, CodedStream(1, 2, (5,), b"\xf8"), CodedStream(0, 1, (1,), b"\x80")),
        ),
    )


def test_vectors_of_8_bits_and_context_coded_tensors_have_these_fields() -> None:
    data = b"\x08\x02" + b"\x04\x01\x02" + b"\x05\x02\x02\x02\x01\x03\x02"
    assert read(data, b"abcdef" + b"ghi" + b"jk") == (
        8,
        (CodedFloat((2,), b"abcdef", Layout.AFFINE8), CodedContexts((2, 2), 1, b"ghi", b"jk")),
    )


def test_a_sparse_tensor_without_nonzeros_has_no_streams() -> None:
    data = b"\x08\x01" + b"\x02\x02\x02\x02\x00\x01\x00\x00"
    assert read(data) == (8, (CodedSparse(Layout.CSR, (2, 2), 0, 1, EMPTY, EMPTY),))


def test_lanes_hold_256_to_4096_symbols() -> None:
    fields = b"\x01\x02\x01" + varint(4097) + b"\x00\x00"
    for lane_log2, lanes in ((8, 17), (11, 3), (12, 2)):
        sizes = [1 << lane_log2] * (lanes - 1) + [1]
        data = bytes([lane_log2, 1]) + fields + b"".join(varint(size) for size in sizes)
        ((tensor,), payload) = (read(data, bytes(513))[1], bytes(513))
        assert tensor == CodedCodes((1, 4097), 0, CodedStream(0, 4097, tuple(sizes), payload))


CODES = b"\x08\x01\x01"
SPARSE = b"\x08\x01\x02\x02\x02\x02\x00"
CONTEXTS = b"\x08\x01\x05\x02\x02\x02\x00"


@pytest.mark.parametrize(
    ("data", "payload", "message"),
    [
        (b"\x07", b"", "MalformedBundle: tensors: lane_log2 = 7, must be in 8..12"),
        (b"\x0d", b"", "MalformedBundle: tensors: lane_log2 = 13, must be in 8..12"),
        (b"\x08" + varint(65_537), b"", "BundleTooLarge: tensors: number of tensors = 65537, must be <= 65536"),
        (b"\x08\x01\x07", b"", "UnsupportedBundle: tensors: layout 7 of tensor 0, must be 0..6"),
        (b"\x08\x01\x00\x00", b"", "MalformedBundle: tensors: rank of tensor 0 = 0, must be >= 1"),
        (b"\x08\x01\x00\x05", b"", "BundleTooLarge: tensors: rank of tensor 0 = 5, must be <= 4"),
        (b"\x08\x01\x00\x21", b"", "BundleTooLarge: tensors: rank of tensor 0 = 33, must be <= 4"),
        (b"\x08\x01\x00\x01\x00", b"", "MalformedBundle: tensors: side 0 of tensor 0 = 0, must be >= 1"),
        (
            b"\x08\x01\x00\x01" + varint((1 << 24) + 1),
            b"",
            "BundleTooLarge: tensors: side 0 of tensor 0 = 16777217, must be <= 16777216",
        ),
        (
            b"\x08\x01\x00\x02" + varint(1 << 24) + b"\x09",
            b"",
            "BundleTooLarge: tensors: tensor 0: 150994944 elements, must be <= 134217728",
        ),
        (
            b"\x08\x01\x00\x04" + varint(1 << 24) * 4,
            b"",
            f"BundleTooLarge: tensors: tensor 0: {1 << 96} elements, must be <= 134217728",
        ),
        (
            b"\x08\x01\x00\x02" + varint(1 << 24) + b"\x08",
            bytes(10),
            "TruncatedBundle: payload: tensor 0 needs 268435456 bytes, 10 are left",
        ),
        (
            CODES + b"\x01\x05",
            b"",
            "MalformedBundle: tensors: tensor 0 of rank 1 in layout CODES, must be FLOAT16 or AFFINE8",
        ),
        (
            CODES + b"\x02\x01\x01" + varint(65_536),
            b"",
            "BundleTooLarge: tensors: codebook of tensor 0 = 65536, must be <= 65535",
        ),
        (
            CODES + b"\x02\x01\x51\x00",
            bytes(10),
            "BundleTooLarge: values of tensor 0: 81 symbols, must be <= 80, the bits left",
        ),
        (
            CODES + b"\x02\x01\x50\x00" + varint(1024),
            bytes(10),
            "BundleTooLarge: tensors: table of values of tensor 0 = 1024, must be <= 1023",
        ),
        (
            CODES + b"\x02\x01\x50\x00\x00\x4f",
            bytes(10),
            "MalformedBundle: tensors: a lane of values of tensor 0 = 79, must be >= 80",
        ),
        (
            CODES + b"\x02\x01\x50\x00\x00" + varint(961),
            bytes(10),
            "BundleTooLarge: tensors: a lane of values of tensor 0 = 961, must be <= 960",
        ),
        (
            CODES + b"\x02\x01\x50\x00\x00\x51",
            bytes(10),
            "TruncatedBundle: payload: values of tensor 0 needs 11 bytes, 10 are left",
        ),
        (
            CODES + b"\x02\x01" + varint(80_000) + b"\x00\x00" + b"\x00" * 100,
            bytes(10_000),
            "MalformedBundle: values of tensor 0: 313 lanes, must fit 100 bytes",
        ),
        (
            b"\x08\x01\x05\x01\x05",
            b"",
            "MalformedBundle: tensors: tensor 0 of rank 1 in layout CONTEXTS, must be FLOAT16 or AFFINE8",
        ),
        (CONTEXTS + b"\x02", b"", "MalformedBundle: tensors: mask bytes of tensor 0 = 2, must be >= 3"),
        (CONTEXTS + b"\x03\x00", b"ab", "TruncatedBundle: payload: mask of tensor 0 needs 3 bytes, 2 are left"),
        (CONTEXTS + b"\x03\x02", b"abcd", "TruncatedBundle: payload: values of tensor 0 needs 2 bytes, 1 are left"),
        (b"\x08\x01\x04\x01\x02", b"abcde", "TruncatedBundle: payload: tensor 0 needs 6 bytes, 5 are left"),
        (SPARSE + b"\x00", b"", "MalformedBundle: tensors: gap_limit of tensor 0 = 0, must be >= 1"),
        (SPARSE + varint(1023), b"", "BundleTooLarge: tensors: gap_limit of tensor 0 = 1023, must be <= 1022"),
        (SPARSE + b"\x01\x05", b"", "BundleTooLarge: tensors: non-zeros of tensor 0 = 5, must be <= 4"),
        (SPARSE + b"\x01\x02\x01", b"", "MalformedBundle: tensors: gap symbols of tensor 0 = 1, must be >= 2"),
        (SPARSE + b"\x03\x02\x04", b"", "BundleTooLarge: tensors: gap symbols of tensor 0 = 4, must be <= 3"),
        (b"\x08\x00", b"\x00", "MalformedBundle: payload: 1 bytes after its end, must be 0"),
        (b"\x08\x00\x00", b"", "MalformedBundle: tensors: 1 bytes after its end, must be 0"),
    ],
)
def test_every_refusal_names_its_tensor(data: bytes, payload: bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        read(data, payload)
    assert f"{type(caught.value).__name__}: {caught.value}" == message


@pytest.mark.parametrize("count", [2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1])
def test_no_count_however_large_is_believed(count: int) -> None:
    for data in (b"\x08" + varint(count), b"\x08\x01\x00\x01" + varint(count), SPARSE + varint(count)):
        with pytest.raises(BundleError, match=rf" = {count}, must be <= "):
            read(data)
