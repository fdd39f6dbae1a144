"""A second decoder of csrve bundles, written from docs/bundle_format.md alone.

It shares no code with `model_store` and is as plain as it can be: one cursor, one bit at a time. The differential tests
(tests/model_store/test_adversarial_bundle.py) hold both decoders to the same verdict and the same arrays.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference_contexts import Contexts
from tests.reference_fields import Cursor, ReferenceNode, Refused, require
from tests.reference_shapes import Shape, infer_shapes
from tests.reference_vectors import Vectors

MAGIC = bytes.fromhex("89 43 53 52 56 45 0D 0A")
SECTIONS = ("identity", "graph", "tables", "codebooks", "tensors", "payload", "provenance")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
# Number: (name, fewest inputs, most inputs, fewest tensors, most tensors, integer attributes).
OPERATORS = {
    1: ("Conv", 1, 1, 1, 2, 9),
    2: ("Gemm", 1, 1, 1, 2, 0),
    3: ("BatchNormalization", 1, 1, 2, 2, 0),
    4: ("Relu", 1, 1, 0, 0, 0),
    5: ("Add", 2, 2, 0, 0, 0),
    6: ("Mul", 2, 2, 0, 0, 0),
    7: ("Clip", 1, 1, 0, 0, 0),
    8: ("Sigmoid", 1, 1, 0, 0, 0),
    9: ("MaxPool", 1, 1, 0, 0, 8),
    10: ("AveragePool", 1, 1, 0, 0, 9),
    11: ("GlobalAveragePool", 1, 1, 0, 0, 0),
    12: ("Flatten", 1, 1, 0, 0, 0),
    13: ("Concat", 2, 64, 0, 0, 0),
    14: ("Pad", 1, 1, 0, 0, 6),
    15: ("Slice", 1, 1, 0, 0, 9),
}


@dataclass(frozen=True, slots=True)
class ReferenceBundle:
    architecture: str
    parameters: int
    dense_bytes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    class_names: tuple[str, ...]
    nodes: tuple[ReferenceNode, ...]
    tensors: tuple[NDArray[np.float32], ...]
    provenance: dict[str, Any]


class FirstUse:
    """Numbers given in the order of first use: 0, then at most one more than any before."""

    def __init__(self) -> None:
        self.count = 0

    def see(self, number: int) -> int:
        require(number <= self.count, "not numbered by first use")
        self.count = max(self.count, number + 1)
        return number


def decode(data: bytes) -> ReferenceBundle:
    """Decode a whole bundle, or raise Refused."""
    sections = split(data)
    architecture, parameters, dense_bytes, input_shape, mean, deviation, names = identity(sections["identity"])
    nodes, tensor_count = graph(sections["graph"])
    codebooks = codebook_list(sections["codebooks"])
    payload = Payload(sections["payload"].data, table_list(sections["tables"]))
    tensors = tensor_list(sections["tensors"], codebooks, payload)
    require(len(tensors) == tensor_count, "tensors left over or missing")
    shapes = infer_shapes(nodes, [t.shape for t in tensors], input_shape)
    require(shapes[-1] == (len(names),), "logits are not one a class")
    notes = provenance(sections["provenance"].data)
    fields = (architecture, parameters, dense_bytes, input_shape, mean, deviation, names)
    return ReferenceBundle(*fields, nodes, tuple(tensors), notes)


def split(data: bytes) -> dict[str, Cursor]:
    """Section 2: magic, version, flags, digest, and the seven sections."""
    require(len(data) <= 2**30, "MAX_BUNDLE_BYTES")
    require(len(data) >= 12 + 32, "shorter than its frame")
    require(hashlib.sha256(data[:-32]).digest() == data[-32:], "digest")
    cursor = Cursor(data[:-32])
    require(cursor.take(8) == MAGIC, "magic")
    require((cursor.u16(), cursor.u16()) == (1, 0), "version or flags")
    sections = {}
    for number, name in enumerate(SECTIONS, 1):
        require(cursor.u8() == number, "section number")
        sections[name] = Cursor(cursor.take(cursor.varint()))
    cursor.end()
    return sections


def identity(cursor: Cursor) -> tuple[Any, ...]:
    """Section 3 of the document."""
    architecture, parameters, dense_bytes = cursor.text(), cursor.varint(1, 2**48 - 1), cursor.varint(1, 2**48 - 1)
    shape = (cursor.varint(1, 4), cursor.varint(1, 1024), cursor.varint(1, 1024))
    mean = tuple(cursor.f32() for _ in range(shape[0]))
    deviation = tuple(cursor.f32() for _ in range(shape[0]))
    require(min(deviation) > 0, "deviation not positive")
    names = tuple(cursor.text() for _ in range(cursor.varint(1, 65536)))
    require(len(set(names)) == len(names), "two classes of one name")
    cursor.end()
    return architecture, parameters, dense_bytes, shape, mean, deviation, names


def graph(cursor: Cursor) -> tuple[tuple[ReferenceNode, ...], int]:
    """Section 4 of the document; returns the nodes and how many tensors they use."""
    nodes: list[ReferenceNode] = []
    numbers, names = FirstUse(), [""]
    for at in range(cursor.varint(1, 16384)):
        nodes.append(node(cursor, at, numbers, names))
    cursor.end()
    read = {value for n in nodes for value in n.inputs}
    require(read == set(range(len(nodes))), "a value that no node reads")
    require(len(set(names)) == len(names), "two layers of one name")
    return tuple(nodes), numbers.count


def node(cursor: Cursor, at: int, numbers: FirstUse, names: list[str]) -> ReferenceNode:
    number = cursor.u8()
    require(number in OPERATORS, "operator")
    operator, fewest, most, fewest_tensors, most_tensors, integers = OPERATORS[number]
    inputs = tuple(at - cursor.varint(0, at) for _ in range(cursor.varint(fewest, most) if most > fewest else most))
    attributes: tuple[float, ...] = tuple(cursor.varint(0, 65536) for _ in range(integers))
    if operator == "Clip":
        attributes = (cursor.f32(), cursor.f32())
        require(attributes[0] < attributes[1], "bounds do not rise")
    tensors: tuple[int, ...] = ()
    if most_tensors:
        count = cursor.varint(fewest_tensors, most_tensors)
        tensors = tuple(numbers.see(cursor.varint(0, 65535)) for _ in range(count))
        names.append(layer_name(cursor, names[-1]))
    return ReferenceNode(operator, inputs, tensors, names[-1] if tensors else "", attributes)


def layer_name(cursor: Cursor, last: str) -> str:
    shared = cursor.varint(0, len(last))
    rest = cursor.take(cursor.varint(0, 128)).decode("latin-1")
    require(shared == len(last) or not rest.startswith(last[shared]), "not the longest common beginning")
    name = last[:shared] + rest
    require(NAME.fullmatch(name) is not None and name[0] not in ".-", "layer name")
    return name


def table_list(cursor: Cursor) -> list[dict[tuple[int, int], int]]:
    """Section 5 of the document: each table as {(length, code): symbol}."""
    tables = []
    for _ in range(cursor.varint(0, 1024)):
        count = cursor.varint(1, 1023)
        halves = [half for byte in cursor.take((count + 1) // 2) for half in (byte & 15, byte >> 4)]
        require(not any(halves[count:]), "unused half is not 0")
        tables.append(canonical_codes(halves[:count]))
    cursor.end()
    return tables


def canonical_codes(lengths: list[int]) -> dict[tuple[int, int], int]:
    require(max(lengths) <= 12, "code length")
    require(lengths[-1] != 0, "last length is 0")
    coded = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    kraft = sum(1 << (12 - length) for length, _ in coded)
    require(kraft == 1 << 12 or (len(coded) == 1 and coded[0][0] == 1), "Kraft sum")
    codes, code, previous = {}, 0, coded[0][0]
    for length, symbol in coded:
        code <<= length - previous
        codes[length, code] = symbol
        code, previous = code + 1, length
    return codes


def codebook_list(cursor: Cursor) -> list[list[float]]:
    """Section 6 of the document."""
    codebooks = []
    for _ in range(cursor.varint()):
        entries = [cursor.f16() for _ in range(cursor.varint(1, 1022))]
        require(all(a < b for a, b in pairwise(entries)), "codebook does not rise")
        require(0 not in entries, "codebook holds 0")
        codebooks.append(entries)
    cursor.end()
    return codebooks


class Payload:
    """Section 6 of the file: elements and streams, taken from the front."""

    def __init__(self, data: bytes, tables: list[dict[tuple[int, int], int]]) -> None:
        self.cursor, self.tables, self.used = Cursor(data), tables, FirstUse()
        self.contexts, self.vectors = Contexts(), Vectors()

    def f16s(self, count: int) -> list[float]:
        require(2 * count <= len(self.cursor.data) - self.cursor.at, "ends within a field")
        return [self.cursor.f16() for _ in range(count)]

    def affine(self, count: int) -> list[np.float16]:
        offset, step = self.cursor.f16(), self.cursor.f16()
        require(offset != 0 or math.copysign(1, offset) == 1, "offset is -0")
        require(step > 0, "step is not above 0")
        with np.errstate(over="ignore"):
            values = [np.float16(offset + step * code) for code in self.cursor.take(count)]
        require(bool(np.isfinite(values).all()), "a value is not finite")
        return values

    def stream(self, table: int, lane_sizes: list[int], lane_bits: list[int]) -> list[int]:
        require(self.used.see(table) < len(self.tables), "table number")
        codes = self.tables[table]
        data = self.cursor.take((sum(lane_bits) + 7) // 8)
        bits = [byte >> place & 1 for byte in data for place in range(7, -1, -1)]
        require(not any(bits[sum(lane_bits) :]), "padding is not 0")
        symbols, at = [], 0
        for size, end in zip(lane_sizes, np.cumsum(lane_bits).tolist(), strict=True):
            for _ in range(size):
                length, code = 0, 0
                while (length, code) not in codes:
                    require(at < end and length < 12, "no such code in this lane")
                    length, code, at = length + 1, code << 1 | bits[at], at + 1
                symbols.append(codes[length, code])
            require(at == end, "a lane's codes do not take its bits")
        return symbols


def read_stream(cursor: Cursor, count: int, lane: int) -> Callable[[Payload], list[int]]:
    """Read a stream's fields from section 5; the result reads its symbols from the payload."""
    if count == 0:
        return lambda payload: []
    table = cursor.varint()
    sizes = [min(lane, count - start) for start in range(0, count, lane)]
    bits = [cursor.varint(0, 12 * size) for size in sizes]
    return lambda payload: payload.stream(table, sizes, bits)


def tensor_list(cursor: Cursor, codebooks: list[list[float]], payload: Payload) -> list[NDArray[np.float32]]:
    """Section 7 of the document."""
    lane_log2 = cursor.u8()
    require(8 <= lane_log2 <= 12, "lane_log2")
    used, elements, tensors = FirstUse(), 0, []
    for _ in range(cursor.varint(0, 65536)):
        layout = cursor.u8()
        shape = tuple(cursor.varint(1, 2**24) for _ in range(cursor.varint(1, 4)))
        elements += math.prod(shape)
        require(math.prod(shape) <= 2**27 and elements <= 2**28, "elements")
        tensors.append(tensor(cursor, layout, shape, 1 << lane_log2, codebooks, used, payload))
    cursor.end()
    payload.cursor.end()
    require(used.count == len(codebooks), "codebooks left over")
    require(payload.used.count == len(payload.tables), "tables left over")
    return tensors


def tensor(
    cursor: Cursor,
    layout: int,
    shape: Shape,
    lane: int,
    codebooks: list[list[float]],
    used: FirstUse,
    payload: Payload,
) -> NDArray[np.float32]:
    size = math.prod(shape)
    if layout == 0:
        return np.array(payload.f16s(size), np.float32).reshape(shape)
    if layout == 4:
        return np.array(payload.affine(size), np.float32).reshape(shape)
    require(layout in (1, 2, 3, 5, 6), "layout")
    require(len(shape) >= 2, "rank of a coded tensor")
    if layout == 6:
        return vectors(cursor, shape, lane, payload)
    number = used.see(cursor.varint())
    require(number < len(codebooks), "codebook number")
    values = [0.0, *codebooks[number]]
    if layout == 5:
        mask_bytes, value_bytes = cursor.varint(3), cursor.varint()
        payload.contexts.limits(shape, mask_bytes)
        mask, coded_values = payload.cursor.take(mask_bytes), payload.cursor.take(value_bytes)
        return np.array(payload.contexts.tensor(shape, values[1:], mask, coded_values), np.float32).reshape(shape)
    if layout == 1:
        symbols = read_stream(cursor, size, lane)(payload)
        require(max(symbols) < len(values), "symbol past the codebook")
        return np.array([values[s] for s in symbols], np.float32).reshape(shape)
    positions, symbols = sparse(cursor, size, lane, payload)
    require(all(0 < s < len(values) for s in symbols), "symbol 0 or past the codebook")
    scan = np.zeros(size, np.float32)
    scan[positions] = [values[s] for s in symbols]
    rows, columns = shape[0], size // shape[0]
    matrix = scan.reshape(rows, columns) if layout == 2 else scan.reshape(columns, rows).T
    return np.ascontiguousarray(matrix).reshape(shape)


def vectors(cursor: Cursor, shape: Shape, lane: int, payload: Payload) -> NDArray[np.float32]:
    def streams(stages: int, length: int) -> Iterator[list[int]]:
        readers = [read_stream(cursor, math.prod(shape) // length, lane) for _ in range(stages)]
        return (read(payload) for read in readers)

    return payload.vectors.tensor(cursor, shape, payload.cursor, streams)


def sparse(cursor: Cursor, size: int, lane: int, payload: Payload) -> tuple[list[int], list[int]]:
    """Positions along the scan and value symbols of a CSR or CSC tensor."""
    gap_limit, nonzeros = cursor.varint(1, 1022), cursor.varint(0, size)
    gap_count = cursor.varint(nonzeros, size)
    read_gaps, read_values = read_stream(cursor, gap_count, lane), read_stream(cursor, nonzeros, lane)
    gaps, at, positions = read_gaps(payload), 0, []
    for gap in gaps:
        require(gap <= gap_limit, "gap past gap_limit")
        at += gap
        if gap < gap_limit:
            positions.append(at)
            at += 1
    require(not gaps or gaps[-1] < gap_limit, "last gap is an escape")
    require(at <= size, "position leaves the tensor")
    require(len(positions) == nonzeros, "non-zeros and gaps differ")
    return positions, read_values(payload)


def provenance(data: bytes) -> dict[str, Any]:
    """Section 8 of the document."""
    require(len(data) <= 65536, "MAX_PROVENANCE_BYTES")
    depth = deepest = 0
    for mark in re.findall(rb'"(?:\\.|[^"\\])*"|[\[\]{}]', data, re.DOTALL):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark, 0)
        deepest = max(deepest, depth)
    require(deepest <= 6, "MAX_PROVENANCE_DEPTH")
    try:
        value = json.loads(data.decode("ascii"), parse_int=bounded_integer)
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise Refused(f"provenance: {error}") from None
    require(isinstance(value, dict) and canonical.encode("ascii") == data, "provenance is not canonical")
    plain = json.dumps(value, ensure_ascii=False)
    require(not any(0xD800 <= ord(character) <= 0xDFFF for character in plain), "lone surrogate")
    return dict(value)


def bounded_integer(digits: str) -> int:
    require(len(digits) <= 20 and abs(int(digits)) < 2**63, "integer of 64 bits or more")
    return int(digits)
