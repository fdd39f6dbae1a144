"""Hostile bytes. Rows of the checklist, by number.

P1 flips and mutations, P2 prefixes and suffixes, P3 the frame, P5 products, P6 sections, P7 counts and names, P8 the
JSON object, P16 the digest, P18 the second decoder, P19 the round trip (the property is in test_bundle.py, other
processes in test_encoder.py), P20 the writer. P9 to P12, P14 and P15 (codes, streams, indices, graphs) are in
test_adversarial_contents.py; P4, P13 and P21 (memory and time) in test_adversarial_costs.py.

Not applicable, because the format has no such fields: offsets (P6: overlaps, holes, ranges), row pointers and absolute
column indices (P14; `CsrMatrix` is tested in test_sparse.py), BatchNorm's variance (P15: folded before writing), a
digest in hex (P16), blobs addressed by their digest (P16), and reading files (P17: the store's tests). Native kernels
(P18) are the service's.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_store.bundle import Bundle, encode_bundle
from model_store.errors import BundleError, BundleTooLarge, DigestMismatch, MalformedBundle, TruncatedBundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.serialization import serialize
from model_store.tensors import FloatTensor, SharedTensor
from tests.model_store.examples import residual_bundle, smallest_bundle
from tests.model_store.generation import random_bundle, random_coding
from tests.model_store.golden import FOLDER
from tests.model_store.mutation import PREFIX, join, mutate, seal, split, varint, with_section
from tests.model_store.oracle import agree, judge, refusal

GOLDEN = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.csrve"))}
SMALLEST = GOLDEN["smallest"]
POSITIONS = (np.array([1], np.int32), np.array([0], np.uint16))
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
@pytest.mark.parametrize("layout", range(6))
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
            [*parts[:at], bytes([at + 2]) + parts[at][1:], *parts[at + 1 :]],
            [*parts[:at], b"\x00" + parts[at][1:], *parts[at + 1 :]],
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
        sound = [encode_bundle(bundle), serialize(random_coding(bundle, seed)), encode_bundle(bundle, "arithmetic")]
        assert all(agree(data) for data in sound)
        for number in range(mutants):
            accepted += agree(mutate(sound[number % 3], generator, (SMALLEST, GOLDEN["residual"])))
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
    for data in (encode_bundle(smallest_bundle()), encode_bundle(residual_bundle(2, 0.3))):
        found = judge(data)
        assert isinstance(found, Bundle)
        assert encode_bundle(found) == data


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": lambda: Preprocessing(1, 1025, (0.5,), (0.25,))},
        {"preprocessing": lambda: Preprocessing(1, 2, (1e39,), (0.25,))},
        {"preprocessing": lambda: Preprocessing(1, 2, (0.5,), (1e-60,))},
        {"class_names": lambda: ("a\n", "b")},
        {"parameters": lambda: 1 << 48},
        {"provenance": lambda: {"a": 1 << 63}},
        {"graph": lambda: Graph(tuple(Node("Relu", (value,)) for value in range(16_385)))},
        {"tensors": lambda: (FloatTensor(np.array([np.nan], np.float16)),)},
        {"tensors": lambda: (SharedTensor((4,), *POSITIONS, np.ones(1, np.float16)),)},
        {"tensors": lambda: (SharedTensor((2, 2), *POSITIONS, np.array([np.inf], np.float16)),)},
        {"tensors": lambda: (SharedTensor((2, 2), *POSITIONS, np.arange(1, 1024).astype(np.float16)),)},
    ],
)
def test_p20_what_the_reader_would_refuse_cannot_be_written(change: dict[str, Callable[[], Any]]) -> None:
    with pytest.raises(BundleError):
        encode_bundle(replace(smallest_bundle(), **{name: make() for name, make in change.items()}))
