"""Hostile contents of sections: rows P9 to P12, P14 and P15 of the checklist (see test_adversarial_bundle.py)."""

import struct

import pytest

from model_store.bundle import Bundle
from model_store.errors import BundleTooLarge
from tests.model_store.golden import FOLDER
from tests.model_store.mutation import join, split, varint, with_section
from tests.model_store.oracle import agree, judge, refusal

SMALLEST = (FOLDER / "smallest.csrve").read_bytes()


def table(*lengths: int) -> bytes:
    """Section 3 with one table."""
    halves = [*lengths, 0]
    pairs = bytes(halves[at] | halves[at + 1] << 4 for at in range(0, len(lengths), 2))
    return b"\x01" + varint(len(lengths)) + pairs


@pytest.mark.parametrize("lengths", [(1, 1, 1), (1, 2, 2, 2), (*range(1, 13), 12, 12), (1,) * 1023])
def test_p9_over_subscribed_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    assert 'MalformedBundle: section "tables": table 0: Huffman table: Kraft sum' in refusal(
        with_section(SMALLEST, 3, table(*lengths))
    )


@pytest.mark.parametrize("lengths", [(2, 2, 3), (3,), (0, 0, 2), (0,), (0, 0, 0), (1, 0), (*range(1, 13),)])
def test_p10_incomplete_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    assert refusal(with_section(SMALLEST, 3, table(*lengths))).startswith('MalformedBundle: section "tables": table 0')


def test_p10_a_single_symbol_of_one_bit_is_the_one_exception() -> None:
    contents = split(SMALLEST)
    contents[2] = table(0, 1)
    contents[4] = contents[4].replace(b"\x00\x00\x06", b"\x00\x00\x04")
    contents[5] = b"\x00" + contents[5][1:]
    assert agree(join(contents))
    contents[5] = b"\x80" + contents[5][1:]
    assert refusal(join(contents)) == (
        'MalformedBundle: tensor "linear.weight": holds a code that its Huffman table lacks'
    )


def test_p10_a_payload_without_symbols_is_refused() -> None:
    tensors = b"\x08\x02\x02\x02\x02\x02\x00\x01\x00\x00\x00\x01\x02"
    contents = split(SMALLEST)
    contents[2], contents[4] = b"\x00", tensors
    assert refusal(join(contents)) == 'MalformedBundle: section "payload": 1 bytes after its end, must be 0'
    contents[5] = contents[5][1:]
    assert agree(join(contents))


@pytest.mark.parametrize(
    ("number", "content"),
    [
        (3, table(1, 13, 13)),
        (3, table(1, 15)),
        (3, b"\x01" + varint(1024) + bytes(512)),
        (4, b"\x01\x01\x00\x3c"),
        (4, b"\x01\x02\x00\x3c\x00\x7e"),
        (4, b"\x01\x02\x00\xfc\x00\x3c"),
        (4, b"\x01\x02\x00\x3c\x00\x3c"),
        (4, b"\x01\x02\x00\x3c\x00\xbc"),
        (4, b"\x01\x02\x00\x80\x00\x3c"),
    ],
)
def test_p11_lengths_alphabets_and_codebooks_out_of_range_are_refused(number: int, content: bytes) -> None:
    assert not agree(with_section(SMALLEST, number, content))


def test_p11_subnormal_entries_and_unused_ones_are_accepted() -> None:
    assert agree(with_section(SMALLEST, 4, b"\x01\x02\x01\x00\x02\x00"))
    assert agree(with_section(SMALLEST, 4, b"\x01\x03\x00\xbc\x01\x00\x00\x38"))


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 5, 7, 8, 9, 48, 49])
def test_p12_a_lane_of_any_other_length_is_refused(bits: int) -> None:
    contents = split(SMALLEST)
    contents[4] = contents[4].replace(b"\x00\x00\x06", b"\x00\x00" + varint(bits))
    assert not agree(join(contents))


@pytest.mark.parametrize("padding", [1, 2, 3])
def test_p12_padding_is_zero(padding: int) -> None:
    payload = split(SMALLEST)[5]
    assert not agree(with_section(SMALLEST, 6, bytes([payload[0] | padding]) + payload[1:]))


@pytest.mark.parametrize("sides", [(2, 1), (1, 2), (1, 3), (3, 1), (1, 5), (5, 1), (4, 4)])
def test_p12_a_stream_of_more_or_fewer_symbols_is_refused(sides: tuple[int, int]) -> None:
    tensors = split(SMALLEST)[4]
    changed = tensors.replace(b"\x01\x02\x02\x02", b"\x01\x02" + bytes(sides))
    assert not agree(with_section(SMALLEST, 5, changed))


def sparse(layout: int, limit: int, nonzeros: int, symbols: int, gap_bits: int, payload: int) -> bytes:
    """The smallest bundle with a sparse 2 x 2 weight: gaps and values both of table 0 (1, 2, 2)."""
    contents = split(SMALLEST)
    streams = bytes([symbols]) + (bytes([0, gap_bits]) if symbols else b"")
    values = bytes([0, 2 * nonzeros]) if nonzeros else b""
    contents[4] = b"\x08\x02" + bytes([layout, 2, 2, 2, 0, limit, nonzeros]) + streams + values + b"\x00\x01\x02"
    contents[5] = bytes([payload]) + b"\xb0" + contents[5][1:]
    return join(contents)


@pytest.mark.parametrize("layout", [2, 3])
def test_p14_gaps_are_held_to_the_tensor(layout: int) -> None:
    assert agree(sparse(layout, 2, 2, 2, 3, 0b10000000))  # gaps 1, 0
    for symbols, bits, payload, message in (
        (3, 5, 0b11100000, "position 4, must be < 4"),
        (2, 3, 0b11000000, "1 positions, must be 2, the last symbol one of them"),
        (3, 4, 0b00110000, "2 positions, must be 2, the last symbol one of them"),
        (3, 3, 0b00000000, "3 positions, must be 2, the last symbol one of them"),
    ):
        data = sparse(layout, 2, 2, symbols, bits, payload)
        assert refusal(data) == f'MalformedBundle: tensor "linear.weight": {message}'
        assert not agree(data)
    assert refusal(sparse(layout, 1, 2, 2, 3, 0b11000000)).endswith("gap symbol 2, must be <= 1")
    assert not agree(sparse(layout, 2, 5, 5, 5, 0))


def graph_of(*nodes: bytes) -> bytes:
    return varint(len(nodes)) + b"".join(nodes)


FLATTEN, RELU, GLOBAL_POOL = b"\x0c\x00", b"\x04\x00", b"\x0b\x00"
LINEAR = split(SMALLEST)[1][3:]
WINDOW = b"\x01\x01\x00\x00\x00\x00"


@pytest.mark.parametrize(
    "nodes",
    [
        (b"\x0c\x01", LINEAR),
        (b"\x05\x00\x01", FLATTEN, LINEAR),
        (RELU, b"\x0c\x01", LINEAR),
        (FLATTEN, b"\x00\x00", LINEAR),
        (FLATTEN, b"\x10\x00", LINEAR),
        (FLATTEN, LINEAR.replace(b"\x02\x00\x01\x00", b"\x01\x00\x00")),
        (FLATTEN, LINEAR.replace(b"\x02\x00\x01\x00", b"\x02\x01\x00\x00")),
        (FLATTEN, LINEAR.replace(b"\x02\x00\x01\x00", b"\x02\x00\x02\x00")),
        (FLATTEN, LINEAR, LINEAR),
        (FLATTEN, LINEAR, RELU, RELU, b"\x0c\x04"),
        (LINEAR,),
        (FLATTEN,),
        (b"\x09\x00\x02\x02" + WINDOW, FLATTEN, LINEAR),
        (b"\x09\x00\x01\x01\x00\x01\x00\x00\x00\x00", FLATTEN, LINEAR),
        (b"\x09\x00\x01\x01\x01\x01\x01\x00\x00\x00", FLATTEN, LINEAR),
        (b"\x0a\x00\x01\x01" + WINDOW + b"\x02", FLATTEN, LINEAR),
        (b"\x0e\x00" + b"\x00" * 5 + b"\x01", FLATTEN, LINEAR),
        (b"\x0e\x00" + varint(1_000_000) * 6, FLATTEN, LINEAR),
        (b"\x0e\x00" + varint(65_536) * 6, GLOBAL_POOL, FLATTEN, LINEAR),
        (b"\x0f\x00" + b"\x00\x00\x00\x01\x01\x03\x01\x01\x01", FLATTEN, LINEAR),
        (b"\x0f\x00" + b"\x00\x00\x00\x01\x01\x02\x01\x01\x00", FLATTEN, LINEAR),
        (b"\x07\x00" + struct.pack("<2f", 1, 1), FLATTEN, LINEAR),
        (b"\x07\x00" + struct.pack("<2f", 1, float("nan")), FLATTEN, LINEAR),
        (b"\x0d\x01\x00", FLATTEN, LINEAR),
        (b"\x0d\x02\x00\x00", FLATTEN, LINEAR),
    ],
)
def test_p15_graphs_that_do_not_run_are_refused(nodes: tuple[bytes, ...]) -> None:
    assert not agree(with_section(SMALLEST, 2, graph_of(*nodes)))


@pytest.mark.parametrize(
    "nodes",
    [
        (FLATTEN, LINEAR),
        (RELU, FLATTEN, LINEAR, RELU),
        (RELU, b"\x05\x00\x01", FLATTEN, LINEAR),
        (RELU, b"\x05\x00\x00", FLATTEN, LINEAR),
        (b"\x0a\x00\x01\x01" + WINDOW + b"\x01", FLATTEN, LINEAR),
        (b"\x0f\x00" + b"\x00\x00\x00\x01\x01\x02\x01\x01\x01", FLATTEN, b"\x0c\x00", LINEAR),
    ],
)
def test_p15_graphs_that_run_are_accepted(nodes: tuple[bytes, ...]) -> None:
    assert agree(with_section(SMALLEST, 2, graph_of(*nodes)))


def test_p15_eleven_classes_for_two_logits_are_refused() -> None:
    identity = split(SMALLEST)[0]
    classes = b"".join(b"\x02" + f"c{label:x}".encode() for label in range(11))
    message = "MalformedBundle: graph: logits of shape (2,), must be (11,), one a class"
    assert refusal(with_section(SMALLEST, 1, identity[:-8] + b"\x0b" + classes)) == message


def test_p15_a_deep_graph_is_accepted_up_to_the_limit_of_nodes() -> None:
    nodes = (RELU,) * 16_382
    assert isinstance(judge(with_section(SMALLEST, 2, graph_of(*nodes, FLATTEN, LINEAR))), Bundle)
    assert isinstance(judge(with_section(SMALLEST, 2, graph_of(RELU, *nodes, FLATTEN, LINEAR))), BundleTooLarge)
