import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.adaptive import FREQUENCIES, MIN_FREQUENCY, AdaptiveBits, BitDecoder, BitEncoder
from model_store.errors import MalformedBundle
from model_store.limits import MAX_BITS_PER_BYTE


def encoded(bits: list[int], contexts: list[int]) -> bytes:
    learnt, encoder = AdaptiveBits(4), BitEncoder()
    for bit, context in zip(bits, contexts, strict=True):
        assert encoder.code(learnt, context, bit) == bit
    return encoder.done()


def decoded(data: bytes, contexts: list[int]) -> list[int]:
    learnt, decoder = AdaptiveBits(4), BitDecoder(data, "here")
    bits = [decoder.code(learnt, context) for context in contexts]
    decoder.finish()
    return bits


def drawn(count: int, share: float, seed: int = 0) -> list[int]:
    return [int(bit) for bit in np.random.default_rng(seed).random(count) < share]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=400))
def test_bits_come_back(pairs: list[tuple[int, int]]) -> None:
    bits, contexts = [bit for bit, _ in pairs], [context for _, context in pairs]
    assert decoded(encoded(bits, contexts), contexts) == bits


@pytest.mark.parametrize("share", [0.5, 0.2, 0.9, 0.02])
def test_many_bits_take_little_more_than_their_entropy(share: float) -> None:
    bits = drawn(50_000, share)
    mean = sum(bits) / len(bits)
    entropy = -len(bits) * (mean * math.log2(mean) + (1 - mean) * math.log2(1 - mean)) / 8
    assert entropy <= len(encoded(bits, [0] * len(bits))) < 1.03 * entropy + 8


def test_a_context_learns_apart_from_the_others() -> None:
    contexts = [0, 1] * 5000
    assert len(encoded(contexts, contexts)) < 40 + 10_000 / 752
    assert len(encoded(contexts, [0] * 10_000)) > 1200


def test_no_bits_are_no_bytes() -> None:
    assert encoded([], []) == b""
    BitDecoder(b"", "here").finish()


def test_the_bytes_are_those_of_the_document() -> None:
    """f = 2048 for the first bit; p = 10923 and f = 682 for the second, n = 1, r = 26214, p = 32769."""
    learnt = AdaptiveBits(1)
    assert learnt.frequency(0) == 2048
    learnt.learn(0, 0)
    assert learnt.frequency(0) == (32768 - 32768 * (131072 // 3) // 65536) // 16 == 682
    state = 65536 // 682 * 4096 + 65536 % 682  # the second bit, a 1
    state = state // 2048 * 4096 + state % 2048 + 2048  # before it the first, a 0
    assert encoded([0, 1], [0, 0]) == state.to_bytes(3, "big")


@pytest.mark.parametrize("bit", [0, 1])
def test_frequencies_stop_short_of_certainty(bit: int) -> None:
    learnt = AdaptiveBits(1)
    for _ in range(5000):
        learnt.learn(0, bit)
    assert learnt.frequency(0) == (FREQUENCIES - MIN_FREQUENCY if bit else MIN_FREQUENCY)


@pytest.mark.parametrize("bit", [0, 1])
def test_a_byte_is_worth_fewer_bits_than_the_limit(bit: int) -> None:
    count = 200_000
    assert count < 752 * (len(encoded([bit] * count, [0] * count)) - 1)
    assert MAX_BITS_PER_BYTE >= 752


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01\x00", "here: a stream of bits begins with 0100, must be >= 010000"),
        (b"\x00\xff\xff\xff", "here: a stream of bits begins with 00ffff, must be >= 010000"),
        (b"\x01\x00\x00", "here: a stream of no bits has 3 bytes, must have none"),
    ],
)
def test_what_is_no_stream_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedBundle, match=f"^{re.escape(message)}$"):
        BitDecoder(data, "here")


def test_a_stream_that_ends_elsewhere_is_refused() -> None:
    contexts = [0] * 100
    data = encoded(drawn(100, 0.3), contexts)
    with pytest.raises(MalformedBundle, match=r"^here: the coded bits do not end where what they stand for ends$"):
        decoded(data, contexts[:-1])
    with pytest.raises(MalformedBundle, match=r"^here: the coded bits do not end where what they stand for ends$"):
        decoded(data + b"\0", contexts)
    with pytest.raises(MalformedBundle, match=r"^here: the coded bits end before what they stand for$"):
        decoded(data[:-1], contexts)
    with pytest.raises(MalformedBundle, match=r"^here: the coded bits end before what they stand for$"):
        decoded(b"", [0])


def test_every_stream_of_bits_has_one_spelling() -> None:
    """Of all streams that differ in one bit or one byte from a sound one, those are accepted that are sound too."""
    contexts = [0, 1] * 4
    sound = {encoded([number >> at & 1 for at in range(8)], contexts) for number in range(256)}
    assert len(sound) == 256
    changed = {
        bytes([*data[:at], data[at] ^ flip, *data[at + 1 :]])
        for data in sound
        for at in range(len(data))
        for flip in (1, 2, 4, 8, 16, 32, 64, 128)
    }
    accepted = 0
    for data in changed | sound | {data + b"\0" for data in sound} | {data[:-1] for data in sound}:
        try:
            bits = decoded(data, contexts)
        except MalformedBundle:
            continue
        accepted += 1
        assert encoded(bits, contexts) == data
    assert accepted == 256
