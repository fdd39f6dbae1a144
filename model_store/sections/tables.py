"""Section 3: the Huffman tables, four bits a code length, low half first."""

from collections.abc import Sequence

from model_store.errors import MalformedBundle
from model_store.huffman import HuffmanTable
from model_store.limits import MAX_ALPHABET, MAX_TABLES
from model_store.wire import Reader, Writer

_LOW = bytes(pair & 15 for pair in range(256))  # of each byte
_HIGH = bytes(pair >> 4 for pair in range(256))


def write_tables(tables: Sequence[HuffmanTable]) -> list[bytes]:
    """The count, then one part a table."""
    parts = [Writer().varint(len(tables)).done()]
    for table in tables:
        lengths = [*table.lengths, 0]
        pairs = bytes(lengths[i] | lengths[i + 1] << 4 for i in range(0, len(table.lengths), 2))
        parts.append(Writer().varint(len(table.lengths)).raw(pairs).done())
    return parts


def read_tables(reader: Reader) -> tuple[HuffmanTable, ...]:
    tables = []
    for number in range(reader.varint("number of tables", 0, MAX_TABLES)):
        symbols = reader.varint(f"symbols of table {number}", 1, MAX_ALPHABET)
        pairs = reader.take((symbols + 1) // 2, f"lengths of table {number}")
        lengths = bytearray(2 * len(pairs))
        lengths[::2], lengths[1::2] = pairs.translate(_LOW), pairs.translate(_HIGH)
        if len(lengths) > symbols and lengths.pop():
            raise MalformedBundle(f"{reader.place}: the unused half byte of table {number}, must be 0")
        try:
            tables.append(HuffmanTable(tuple(lengths)))
        except MalformedBundle as error:
            raise MalformedBundle(f"{reader.place}: table {number}: {error}") from None
    reader.finish()
    return tuple(tables)
