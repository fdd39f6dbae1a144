"""Adaptive binary arithmetic coding: bits under probabilities that learn, as one number (rANS, Duda 2013).

A bit costs what its probability says, fractions of a bit included. Integers only, so that every machine agrees. Every
stream of bits has exactly one encoding: the state ends where the encoder began.
"""

from array import array

import numpy as np

from model_store.errors import MalformedBundle

PROBABILITY_BITS = 16  # of what a context has learnt
FREQUENCY_BITS = 12  # of what is coded with
FREQUENCIES = 1 << FREQUENCY_BITS
MIN_FREQUENCY = 32  # so that no bit is free: a state grows by 1/136 or more, and a byte is worth 752 bits at most
STATE_BYTES = 3
LOW_STATE = 1 << 8 * (STATE_BYTES - 1)
MAX_COUNT = 127  # after so many bits a context learns at a fixed rate

_HALF = 1 << PROBABILITY_BITS - 1
_TOP = (1 << PROBABILITY_BITS) - 1
_RATES = tuple(2 * (_TOP + 1) // (2 * count + 3) for count in range(MAX_COUNT + 1))
_CLAMPED = tuple(min(max(f, MIN_FREQUENCY), FREQUENCIES - MIN_FREQUENCY) for f in range(FREQUENCIES))


class AdaptiveBits:
    """For each context the probability of a 1, beginning at one half, and how many bits it has seen."""

    def __init__(self, contexts: int) -> None:
        self._probabilities = array("H", [_HALF]) * contexts
        self._counts = array("B", bytes(contexts))

    def learnt(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of the probabilities uint16 and the counts uint8, [contexts]: what a decoder in C++ goes on with."""
        return np.frombuffer(self._probabilities, dtype=np.uint16), np.frombuffer(self._counts, dtype=np.uint8)

    def frequency(self, context: int) -> int:
        """Of a 1, out of `FREQUENCIES`."""
        return _CLAMPED[self._probabilities[context] >> PROBABILITY_BITS - FREQUENCY_BITS]

    def learn(self, context: int, bit: int) -> None:
        """Move the probability towards the bit, in smaller steps the more were seen."""
        probability, count = self._probabilities[context], self._counts[context]
        rate = _RATES[count]
        if bit:
            self._probabilities[context] = probability + ((_TOP - probability) * rate >> PROBABILITY_BITS)
        else:
            self._probabilities[context] = probability - (probability * rate >> PROBABILITY_BITS)
        if count < MAX_COUNT:
            self._counts[context] = count + 1


class BitEncoder:
    """Collects bits with their frequencies; they are coded from the last to the first."""

    def __init__(self) -> None:
        self._frequencies: list[int] = []  # negative for a 0

    def code(self, bits: AdaptiveBits, context: int, bit: int) -> int:
        """Add a bit, and return it."""
        frequency = bits.frequency(context)
        self._frequencies.append(frequency if bit else frequency - FREQUENCIES)
        bits.learn(context, bit)
        return bit

    def done(self) -> bytes:
        """The stream: nothing for no bits, otherwise the state, high byte first, and the bytes to refill it with."""
        if not self._frequencies:
            return b""
        state, refills = LOW_STATE, bytearray()
        for signed in reversed(self._frequencies):
            frequency, start = (signed, 0) if signed > 0 else (-signed, FREQUENCIES + signed)
            while state >= (LOW_STATE >> FREQUENCY_BITS << 8) * frequency:
                refills.append(state & 255)
                state >>= 8
            state = (state // frequency << FREQUENCY_BITS) + state % frequency + start
        return state.to_bytes(STATE_BYTES, "big") + bytes(reversed(refills))


class BitDecoder:
    """Takes bits from a stream; has the interface of `BitEncoder`, which does not know the bit either until it is told.

    Raises:
        MalformedBundle: the stream does not begin with a state, ends before its bits do, or goes on after them.
    """

    def __init__(self, data: bytes, place: str) -> None:
        self._data, self._place = data, place
        self._at = STATE_BYTES
        self._state = int.from_bytes(data[:STATE_BYTES], "big")
        if data and (len(data) < STATE_BYTES or self._state < LOW_STATE):
            raise MalformedBundle(
                f"{place}: a stream of bits begins with {data[:STATE_BYTES].hex()}, must be >= 010000"
            )
        if data == LOW_STATE.to_bytes(STATE_BYTES, "big"):
            raise MalformedBundle(f"{place}: a stream of no bits has {STATE_BYTES} bytes, must have none")

    def code(self, bits: AdaptiveBits, context: int, bit: int = 0) -> int:
        """Take the next bit; what `bit` says is not looked at."""
        frequency = bits.frequency(context)
        slot, high = self._state & FREQUENCIES - 1, self._state >> FREQUENCY_BITS
        if slot < frequency:
            bit, self._state = 1, frequency * high + slot
        else:
            bit, self._state = 0, (FREQUENCIES - frequency) * high + slot - frequency
        while self._state < LOW_STATE:
            if self._at >= len(self._data):
                raise ends_early(self._place)
            self._state = self._state << 8 | self._data[self._at]
            self._at += 1
        bits.learn(context, bit)
        return bit

    def finish(self) -> None:
        """Refuse a stream that does not end here."""
        if self._data and (self._at != len(self._data) or self._state != LOW_STATE):
            raise goes_on(self._place)


def ends_early(place: str) -> MalformedBundle:
    return MalformedBundle(f"{place}: the coded bits end before what they stand for")


def goes_on(place: str) -> MalformedBundle:
    return MalformedBundle(f"{place}: the coded bits do not end where what they stand for ends")
