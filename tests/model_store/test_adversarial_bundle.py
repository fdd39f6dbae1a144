"""Hostile bytes. Rows of the checklist, by number.

P1 flips and mutations, P2 prefixes and suffixes, P3 the frame, P5 products, P6 sections, P7 counts and names, P8 the JSON
object, P9 to P12 codes and streams, P14 and P15 indices and graphs, P16 the digest, P18 the second decoder, P19 and P20 the
writer. P4, P13 and P21 (memory and time) are in test_adversarial_costs.py.

Not applicable to this format, which has no such fields: offsets (P6: overlaps, holes, ranges), row pointers and absolute
column indices (P14; `CsrMatrix` is tested in test_sparse.py), BatchNorm's variance (P15: folded before writing), a digest in
hex (P16), blobs addressed by their digest (P16), and reading files (P17: the store's tests).
"""

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from model_store.bundle import Bundle, encode_bundle
from model_store.errors import BundleError, BundleTooLarge, DigestMismatch, MalformedBundle, TruncatedBundle
from model_store.serialization import serialize
from tests.model_store.examples import residual_bundle, smallest_bundle
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.golden import FOLDER
from tests.model_store.mutation import PREFIX, join, mutate, seal, split, varint, with_section
from tests.model_store.oracle import agree, judge

GOLDEN = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.csrve"))}
SMALLEST = GOLDEN["smallest"]
FRAMES = (TruncatedBundle, MalformedBundle, DigestMismatch)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def resealed_flips(data: bytes) -> Iterator[bytes]:
    """Each bit of each section flipped, with lengths and digest that fit."""
    contents = split(data)
    for number, content in enumerate(contents, 1):
        for bit in range(8 * len(content)):
            yield with_section(data, number, flipped(content, bit))


def refusal(data: bytes) -> str:
    error = judge(data)
    assert isinstance(error, BundleError)
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", GOLDEN)
def test_p1_every_flipped_bit_is_refused(name: str) -> None:
    data = GOLDEN[name]
    for bit in range(8 * len(data)):
        assert isinstance(judge(flipped(data, bit)), BundleError)


def test_p1_every_flipped_bit_with_a_digest_that_fits_is_refused_or_another_bundle() -> None:
    accepted = [isinstance(judge(data), Bundle) for data in resealed_flips(SMALLEST)]
    assert 0 < sum(accepted) < len(accepted)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(GOLDEN) - {"smallest"}))
def test_p1_every_flipped_bit_of_the_other_golden_files(name: str) -> None:
    for data in resealed_flips(GOLDEN[name]):
        agree(data)


def random_bytes_changed(data: bytes, generator: np.random.Generator) -> bytes:
    """1 to 16 bytes of the body replaced, the digest made anew."""
    body = bytearray(data[:-32])
    for _ in range(int(generator.integers(1, 17))):
        body[int(generator.integers(len(body)))] = int(generator.integers(256))
    return seal(bytes(body))


@pytest.mark.parametrize("name", GOLDEN)
def test_p1_random_bytes_with_a_digest_that_fits(name: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        judge(random_bytes_changed(GOLDEN[name], generator))


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("seed", range(1, 5))
def test_p1_a_hundred_thousand_random_changes(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(8_500):
        judge(random_bytes_changed(GOLDEN[name], generator))


@pytest.mark.parametrize("name", GOLDEN)
def test_p2_every_prefix_is_refused(name: str) -> None:
    data = GOLDEN[name]
    for size in range(len(data)):
        assert isinstance(judge(data[:size]), FRAMES)
        if size >= len(PREFIX):
            assert isinstance(judge(seal(data[: min(size, len(data) - 33)])), (TruncatedBundle, MalformedBundle))


@pytest.mark.parametrize("name", GOLDEN)
def test_p2_every_suffix_and_a_second_bundle_are_refused(name: str) -> None:
    data = GOLDEN[name]
    generator = np.random.default_rng(0)
    for size in range(1, 65):
        suffix = generator.bytes(size)
        assert isinstance(judge(data + suffix), DigestMismatch)
        assert isinstance(judge(seal(data[:-32] + suffix)), MalformedBundle)
    assert isinstance(judge(data + data), DigestMismatch)
    assert isinstance(judge(seal(data + data[:-32])), MalformedBundle)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "MalformedBundle: bundle: begins with , must begin with 8943535256450d0a"),
        (b"\x89", "MalformedBundle: bundle: begins with 89, must begin with 8943535256450d0a"),
        (PREFIX[:8], "TruncatedBundle: bundle: 8 bytes, must be at least 44"),
        (b"\x89CSRVE\n" + SMALLEST[8:], "MalformedBundle: bundle: begins with 8943535256450a01, must begin with"),
        (seal(PREFIX[:8] + b"\x02\x00\x00\x00" + SMALLEST[12:-32]), "UnsupportedBundle: bundle: version 2, must be 1"),
        (
            seal(PREFIX[:8] + b"\x00\x01\x00\x00" + SMALLEST[12:-32]),
            "UnsupportedBundle: bundle: version 256, must be 1",
        ),
    ],
)
def test_p3_the_field_at_fault_is_named(data: bytes, message: str) -> None:
    assert refusal(data).startswith(message)


@pytest.mark.parametrize("bit", range(16))
def test_p3_each_reserved_flag_is_refused(bit: int) -> None:
    flags = struct.pack("<H", 1 << bit)
    data = seal(PREFIX[:10] + flags + SMALLEST[12:-32])
    assert refusal(data) == f"UnsupportedBundle: bundle: flags {1 << bit:#06x}, must be 0"


@pytest.mark.parametrize(
    "sides",
    [
        (4194305, 4194305, 211106198978564),
        (1 << 16, 1 << 16, 1 << 16, 1 << 16),
        (1 << 24, 1 << 24),
        (1 << 32, 1 << 32),
        ((1 << 63) - 1,),
        (0, 5),
        (5, 0),
        (),
        (1,) * 5,
        (1,) * 33,
    ],
)
@pytest.mark.parametrize("layout", range(4))
def test_p5_shapes_whose_products_would_wrap_are_refused(layout: int, sides: tuple[int, ...]) -> None:
    shape = varint(len(sides)) + b"".join(varint(side) for side in sides)
    tensors = b"\x08\x02" + bytes([layout]) + shape + b"\x00" * 20
    assert isinstance(judge(with_section(SMALLEST, 5, tensors)), (BundleTooLarge, MalformedBundle))


def test_p6_sections_missing_doubled_swapped_or_numbered_otherwise_are_refused() -> None:
    contents = split(SMALLEST)
    parts = [bytes([number]) + varint(len(content)) + content for number, content in enumerate(contents, 1)]
    for at in range(7):
        for changed in (
            parts[:at] + parts[at + 1 :],
            parts[: at + 1] + parts[at:],
            parts[:at] + [bytes([at + 2]) + parts[at][1:]] + parts[at + 1 :],
            parts[:at] + [b"\x00" + parts[at][1:]] + parts[at + 1 :],
        ):
            assert isinstance(judge(seal(PREFIX + b"".join(changed))), (TruncatedBundle, MalformedBundle))
        assert isinstance(judge(join([*contents[:at], b"", *contents[at + 1 :]])), BundleError)
        if at:
            swapped = [*parts[: at - 1], parts[at], parts[at - 1], *parts[at + 1 :]]
            assert isinstance(judge(seal(PREFIX + b"".join(swapped))), (TruncatedBundle, MalformedBundle))
    assert isinstance(judge(seal(PREFIX + b"\x01\x00" * 100_000)), BundleError)


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1])
def test_p6_a_section_past_the_end_is_refused(length: int) -> None:
    assert isinstance(judge(seal(PREFIX + b"\x01" + varint(length) + b"abc")), (TruncatedBundle, BundleTooLarge))


@pytest.mark.parametrize(
    "name", [b"", b"../x", b".x", b"-x", b"a/b", b"a\0", b"a\n", b"\xc3\xa9", b"e\xcc\x81", b"a" * 129, b"a b", b"a\\b"]
)
def test_p7_names_of_layers_that_are_refused(name: bytes) -> None:
    graph = split(SMALLEST)[1]
    changed = graph[:-7] + varint(len(name)) + name
    assert isinstance(judge(with_section(SMALLEST, 2, changed)), (MalformedBundle, BundleTooLarge))


@pytest.mark.parametrize(
    "name", [b"", b"a" * 257, b"a\0", b"\xff", b"\xed\xa0\x80", b"e\xcc\x81", b"\xe2\x80\xa9", b"yes", b"a\x1b[0m"]
)
def test_p7_names_of_classes_that_are_refused(name: bytes) -> None:
    identity = split(SMALLEST)[0]
    changed = identity[:-7] + varint(len(name)) + name + identity[-4:]
    assert isinstance(judge(with_section(SMALLEST, 1, changed)), (MalformedBundle, BundleTooLarge))


@pytest.mark.parametrize(
    ("number", "content"),
    [
        (1, None),
        (2, varint(100_000) + b"\x04\x00" * 100_000),
        (3, varint(100_000) + b"\x01\x01" * 100_000),
        (4, varint(100_000) + b"\x01\x00\x3c" * 100_000),
        (5, b"\x08" + varint(100_000) + b"\x00\x01\x01" * 100_000),
    ],
)
def test_p7_a_hundred_thousand_of_anything_are_too_many(number: int, content: bytes | None) -> None:
    if content is None:
        names = [str(label).encode() for label in range(100_000)]
        content = split(SMALLEST)[0][:-8] + varint(len(names)) + b"".join(varint(len(name)) + name for name in names)
    assert isinstance(judge(with_section(SMALLEST, number, content)), BundleTooLarge)


@pytest.mark.parametrize(
    "provenance",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":9223372036854775808}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"\xef\xbb\xbf{}",
        b"{} ",
        b"{}\n",
        b'{"b":1,"a":1}',
        b'{"a":1.0e0}',
        b'{"a":"\xc3\xa9"}',
        b'{"a":"\\ud800"}',
        b'{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}',
        b"",
        b"null",
        b" " * 70_000,
    ],
)
def test_p8_json_has_one_spelling_and_both_decoders_hold_to_it(provenance: bytes) -> None:
    assert not agree(with_section(SMALLEST, 7, provenance))


@pytest.mark.parametrize("provenance", [b'{"a":true,"b":[1.5,-3,1e-07,null]}', b'{"a":{"a":{"a":{"a":{"a":{}}}}}}'])
def test_p8_canonical_json_is_accepted(provenance: bytes) -> None:
    assert agree(with_section(SMALLEST, 7, provenance))


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


def test_p16_a_digest_that_is_wrong_or_of_other_bytes_or_cut_is_refused() -> None:
    body = SMALLEST[:-32]
    for digest in (
        bytes(32),
        hashlib.sha256(SMALLEST).digest(),
        hashlib.sha256(body[:-1]).digest(),
        GOLDEN["residual"][-32:],
        hashlib.sha256(body).digest()[::-1],
        hashlib.sha256(body).digest()[:31],
        hashlib.sha256(body).hexdigest().encode(),
        hashlib.sha512(body).digest()[:32],
    ):
        assert isinstance(judge(body + digest), DigestMismatch)


def differ_nowhere(seeds: range, mutants: int) -> tuple[int, int]:
    """Hold both decoders together on drawn bundles and mutants of them; how many mutants passed, of how many."""
    accepted = 0
    for seed in seeds:
        generator = np.random.default_rng(seed)
        bundle = random_bundle(seed)
        sound = [encode_bundle(bundle), serialize(random_coding(bundle, seed))]
        assert all(agree(data) for data in sound)
        for number in range(mutants):
            accepted += agree(mutate(sound[number % 2], generator, (SMALLEST, GOLDEN["residual"])))
    return accepted, len(seeds) * mutants


def test_p18_both_decoders_agree_on_drawn_bundles_and_their_mutants() -> None:
    accepted, mutants = differ_nowhere(range(120), 12)
    assert 0.01 * mutants < accepted < 0.5 * mutants


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 11_000, 1000))
def test_p18_both_decoders_agree_on_a_hundred_thousand_mutants(start: int) -> None:
    differ_nowhere(range(start, start + 1000), 10)


@pytest.mark.parametrize("name", GOLDEN)
def test_p18_both_decoders_agree_on_the_golden_files(name: str) -> None:
    assert agree(GOLDEN[name])


def test_p18_mutants_of_the_golden_files() -> None:
    generator = np.random.default_rng(18)
    for data in GOLDEN.values():
        for _ in range(150):
            agree(mutate(data, generator, [*GOLDEN.values()]))


def test_p19_encoding_is_the_inverse_of_decoding() -> None:
    """The property itself is in test_bundle.py, other processes and hash seeds in test_encoder.py."""
    for data in (encode_bundle(smallest_bundle()), encode_bundle(residual_bundle(2, 0.3))):
        found = judge(data)
        assert isinstance(found, Bundle)
        assert encode_bundle(found) == data
