import pytest

from model_store.errors import BundleError
from model_store.huffman import HuffmanTable
from model_store.sections.tables import read_tables, write_tables
from model_store.wire import Reader
from tests.model_store.mutation import varint


def read(data: bytes) -> tuple[HuffmanTable, ...]:
    return read_tables(Reader(data, "tables"))


def test_lengths_are_half_bytes_low_half_first() -> None:
    tables = (HuffmanTable((1, 2, 2)), HuffmanTable((0, 0, 0, 1)), HuffmanTable((1, 1)))
    data = b"\x03" + b"\x03\x21\x02" + b"\x04\x00\x10" + b"\x02\x11"
    assert b"".join(write_tables(tables)) == data
    assert read(data) == tables


def test_no_tables_are_one_byte() -> None:
    assert write_tables(()) == [b"\x00"]
    assert read(b"\x00") == ()


def test_the_largest_table_round_trips() -> None:
    table = HuffmanTable((9,) + (10,) * 1022)
    assert read(b"".join(write_tables((table,)))) == (table,)


def test_1024_tables_are_accepted() -> None:
    assert len(read(varint(1024) + b"\x01\x01" * 1024)) == 1024


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (varint(1025) + b"\x01\x01" * 1025, "BundleTooLarge: tables: number of tables = 1025, must be <= 1024"),
        (b"\x01\x00", "MalformedBundle: tables: symbols of table 0 = 0, must be >= 1"),
        (b"\x01" + varint(1024), "BundleTooLarge: tables: symbols of table 0 = 1024, must be <= 1023"),
        (b"\x01\x03\x21", "TruncatedBundle: tables: lengths of table 0 needs 2 bytes, 1 are left"),
        (b"\x01\x03\x21\x12", "MalformedBundle: tables: the unused half byte of table 0, must be 0"),
        (
            b"\x01\x03\x11\x01",
            "MalformedBundle: tables: table 0: Huffman table: Kraft sum 6144/4096, must be 4096/4096",
        ),
        (
            b"\x01\x02\x01",
            "MalformedBundle: tables: table 0: Huffman table: the last length is 0 or missing, must be 1 or more",
        ),
        (b"\x01\x02\xd1", "MalformedBundle: tables: table 0: Huffman table: length 13, must be <= 12"),
        (b"\x01\x01\x02", "MalformedBundle: tables: table 0: Huffman table: Kraft sum 1024/4096, must be 4096/4096"),
        (b"\x01\x01\x01\x00", "MalformedBundle: tables: 1 bytes after its end, must be 0"),
    ],
)
def test_every_refusal_names_its_table(data: bytes, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        read(data)
    assert f"{type(caught.value).__name__}: {caught.value}" == message
