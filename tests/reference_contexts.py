"""Section 7.1 of docs/bundle_format.md, context-coded tensors, for the reference decoder: from that text alone."""

import math
from collections import defaultdict
from typing import Any

from tests.reference_fields import require


class Bits:
    """One stream: takes bits under the contexts' probabilities."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.state, self.taken = data, 3, 65536, 0
        if data:
            require(len(data) >= 3, "a stream shorter than its state")
            self.state = data[0] << 16 | data[1] << 8 | data[2]
            require(self.state >= 65536, "a state that is too low")

    def take(self, contexts: defaultdict[Any, tuple[int, int]], context: Any) -> int:
        require(self.data != b"", "no bits in a stream of none")
        self.taken += 1
        p, n = contexts[context]
        f = min(4064, max(32, p // 16))
        s, h = self.state % 4096, self.state // 4096
        bit = int(s < f)
        self.state = f * h + s if bit else (4096 - f) * h + s - f
        while self.state < 65536:
            require(self.at < len(self.data), "a stream ends within its bits")
            self.state = 256 * self.state + self.data[self.at]
            self.at += 1
        r = 131072 // (2 * n + 3)
        p = p + (65535 - p) * r // 65536 if bit else p - p * r // 65536
        contexts[context] = (p, min(n + 1, 127))
        return bit

    def end(self) -> None:
        require(not self.data or self.taken > 0, "bytes for no bits")
        require(not self.data or (self.at == len(self.data) and self.state == 65536), "a stream goes on after its bits")


class Contexts:
    """What is learnt from all context-coded tensors of a file."""

    def __init__(self) -> None:
        self.mask: defaultdict[Any, tuple[int, int]] = defaultdict(lambda: (32768, 0))
        self.values: defaultdict[Any, tuple[int, int]] = defaultdict(lambda: (32768, 0))
        self.elements = 0

    def limits(self, shape: tuple[int, ...], mask_bytes: int) -> None:
        self.elements += math.prod(shape)
        require(self.elements <= 2**25, "MAX_CONTEXT_ELEMENTS")
        require(math.prod(shape) <= 1024 * mask_bytes, "MAX_BITS_PER_BYTE")
        require(math.prod(shape[2:]) <= 1024, "MAX_CONTEXT_TAPS")

    def tensor(self, shape: tuple[int, ...], entries: list[float], mask: bytes, values: bytes) -> list[float]:
        """The elements, row-major."""
        mask_bits, value_bits = Bits(mask), Bits(values)
        taps, width = math.prod(shape[2:]), shape[-1] if len(shape) > 2 else 1
        elements: list[float] = []
        of_channel = [0] * shape[1]
        for filter_ in range(shape[0]):
            of_filter = 0
            for channel in range(shape[1]):
                level = 18
                if filter_ or channel:
                    d = 256 * (of_filter + of_channel[channel]) // ((filter_ + channel) * taps)
                    level = (d * d).bit_length()
                kernel: list[float] = []
                for tap in range(taps):
                    left = kind(kernel[tap - 1], entries) if tap % width else 0
                    above = kind(kernel[tap - width], entries) if tap >= width else 0
                    large = (0, 1, 2, 1, 2)[left] + (0, 1, 2, 1, 2)[above]
                    if mask_bits.take(self.mask, (level, large, tap % width == 0, tap < width)):
                        kernel.append(self.value(entries, value_bits, left, above))
                    else:
                        kernel.append(0.0)
                found = sum(value != 0 for value in kernel)
                of_filter, of_channel[channel] = of_filter + found, of_channel[channel] + found
                elements += kernel
        mask_bits.end()
        value_bits.end()
        return elements

    def value(self, entries: list[float], stream: Bits, left: int, above: int) -> float:
        bits = (len(entries) - 1).bit_length()
        before: tuple[int, ...] = ()
        for _ in range(bits):
            before += (stream.take(self.values, (bits, left, above, before)),)
        number = sum(bit << place for place, bit in enumerate(reversed(before)))
        require(number < len(entries), "an entry past the codebook")
        return entries[number]


def kind(value: float, entries: list[float]) -> int:
    """The class of a tap."""
    if value == 0:
        return 0
    side = [entry for entry in entries if entry * value > 0]
    other = len(entries) - len(side)
    rank = 1 + sum(abs(entry) < abs(value) for entry in side)
    return (1 if value < 0 else 3) + int(2 * rank > max(len(side), other))
