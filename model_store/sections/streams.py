"""The fields of Huffman streams in section 5, and their bytes in section 6."""

from dataclasses import dataclass

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.lanes import CodedStream, lane_counts, payload_size
from model_store.limits import MAX_CODE_LENGTH, MAX_TABLES
from model_store.wire import Reader, Writer

NO_TABLE = -1  # the table of a stream without symbols


def write_stream(stream: CodedStream) -> bytes:
    if not stream.count:
        return b""
    writer = Writer().varint(stream.table)
    for bits in stream.lane_bits:
        writer.varint(bits)
    return writer.done()


@dataclass(frozen=True, slots=True)
class StreamReader:
    """Reads the fields of streams and takes their bytes from the payload, in file order."""

    reader: Reader
    payload: Reader
    lane_log2: int

    def read(self, count: int, place: str) -> CodedStream:
        """A stream of `count` symbols; none at all has no fields and names table 0 for nothing."""
        if not count:
            return CodedStream(NO_TABLE, 0, (), b"")
        if count > 8 * self.payload.remaining:
            raise BundleTooLarge(f"{place}: {count} symbols, must be <= {8 * self.payload.remaining}, the bits left")
        table = self.reader.varint(f"table of {place}", 0, MAX_TABLES - 1)
        counts = lane_counts(count, self.lane_log2)
        if len(counts) > self.reader.remaining:
            raise MalformedBundle(f"{place}: {len(counts)} lanes, must fit {self.reader.remaining} bytes")
        bounds = [(count, MAX_CODE_LENGTH * count) for count in counts]
        lane_bits = self.reader.varints(f"a lane of {place}", bounds)
        return CodedStream(table, count, lane_bits, self.payload.view(payload_size(lane_bits), place))
