"""Weights as adaptively coded bits: which are non-zero, then which value, each bit under what stands around it.

What pruned networks leave to be found (measured on ResNet-20): neighbouring taps of one kernel have the same sign more
often than not, large weights stand next to large ones, and filters and input channels differ in density. A zeroth-order
code of gaps and values sees none of it. One context a bit, no mixing: that keeps a decoder small and quick.
"""

import math
from array import array
from collections.abc import Callable

import numpy as np

from model_store.adaptive import AdaptiveBits, BitDecoder, BitEncoder, ends_early, goes_on
from model_store.errors import MalformedBundle
from model_store.tensors import SharedTensor

DENSITY_LEVELS = 19  # 0..17 for what `density_level` gives, 18 where nothing stands before
CLASSES = 5  # zero; negative small, large; positive small, large
_LARGENESS = (0, 1, 2, 1, 2)  # by class
_LARGENESS_SUMS = 5
_EDGES = 4

Coder = BitEncoder | BitDecoder

_ENDS_EARLY, _GOES_ON, _PAST_CODEBOOK = 1, 2, 3  # what C++ finds


def _find_decoder() -> Callable[..., tuple[int, int, np.ndarray, np.ndarray]] | None:
    try:
        from model_store._lanes_native import contexts
    except ImportError:  # built without a compiler
        return None
    return contexts


_decode = _find_decoder()


class _PastCodebook(Exception):
    """A symbol that the codebook has no entry for."""

    def __init__(self, symbol: int) -> None:
        self.symbol = symbol


class ContextModel:
    """What has been learnt so far. It is kept from one tensor of a bundle to the next, in file order."""

    def __init__(self) -> None:
        self._mask = AdaptiveBits(DENSITY_LEVELS * _LARGENESS_SUMS * _EDGES)
        self._values: dict[int, AdaptiveBits] = {}

    def encode(self, tensor: SharedTensor) -> tuple[bytes, bytes]:
        """(stream of the mask, stream of the values)."""
        symbols = np.zeros(math.prod(tensor.shape), dtype=np.uint16)
        symbols[tensor.positions] = tensor.codes + 1
        mask, values = BitEncoder(), BitEncoder()
        self._scan(tensor.shape, tensor.codebook, symbols, mask, values)
        return mask.done(), values.done()

    def decode(
        self, shape: tuple[int, ...], codebook: np.ndarray, streams: tuple[bytes, bytes], place: str
    ) -> SharedTensor:
        """The inverse. Memory grows with what was decoded, never with what the shape claims.

        Raises:
            MalformedBundle: a stream does not end where its bits do, or a value is past the codebook.
        """
        mask, values = (BitDecoder(stream, place) for stream in streams)
        if _decode is not None:
            return self._decode_natively(shape, codebook, streams, place)
        try:
            symbols = self._scan(shape, codebook, None, mask, values)
        except _PastCodebook as error:
            raise _past_codebook(error.symbol, codebook, place) from None
        mask.finish()
        values.finish()
        positions = np.flatnonzero(symbols).astype(np.int32)
        return SharedTensor(shape, positions, symbols[positions] - np.uint16(1), codebook)

    def _decode_natively(
        self, shape: tuple[int, ...], codebook: np.ndarray, streams: tuple[bytes, bytes], place: str
    ) -> SharedTensor:
        """`decode` in C++, of streams that begin as they must."""
        assert _decode is not None
        taps, depth = math.prod(shape[2:]), value_bits(codebook)
        outcome, symbol, positions, codes = _decode(
            (shape[0], shape[1], taps, shape[-1] if len(shape) > 2 else 1),
            np.array(symbol_classes(codebook), dtype=np.uint8),
            depth,
            *streams,
            *self.bits_of_mask().learnt(),
            *self.bits_of_values(depth).learnt(),
        )
        if outcome == _ENDS_EARLY:
            raise ends_early(place)
        if outcome == _GOES_ON:
            raise goes_on(place)
        if outcome == _PAST_CODEBOOK:
            raise _past_codebook(symbol, codebook, place)
        return SharedTensor(shape, positions, codes, codebook)

    def _scan(
        self, shape: tuple[int, ...], codebook: np.ndarray, known: np.ndarray | None, mask: Coder, values: Coder
    ) -> np.ndarray:
        """Code every kernel of every filter; return the symbols uint16. What an encoder codes is `known`."""
        kernel = _Kernel(self, shape, codebook, mask, values)
        symbols, of_channel = array("H"), array("I")
        expected = [0] * kernel.taps
        for row in range(shape[0]):
            of_filter = 0
            for channel in range(shape[1]):
                if row == 0:
                    of_channel.append(0)
                if known is not None:
                    expected = known[len(symbols) : len(symbols) + kernel.taps].tolist()
                level = density_level(of_filter + of_channel[channel], (row + channel) * kernel.taps)
                found = kernel.code(expected, level)
                symbols.extend(found)
                nonzeros = kernel.taps - found.count(0)
                of_filter += nonzeros
                of_channel[channel] += nonzeros
        return np.frombuffer(symbols, dtype=np.uint16)

    def bits_of_mask(self) -> AdaptiveBits:
        return self._mask

    def bits_of_values(self, depth: int) -> AdaptiveBits:
        """Codebooks of as many bits share what they learn."""
        if depth not in self._values:
            self._values[depth] = AdaptiveBits(CLASSES * CLASSES << depth)
        return self._values[depth]


class _Kernel:
    """How one kernel is coded, prepared once for a tensor: its taps with their neighbours, its values with classes."""

    def __init__(
        self, model: ContextModel, shape: tuple[int, ...], codebook: np.ndarray, mask: Coder, values: Coder
    ) -> None:
        self.taps, width = math.prod(shape[2:]), shape[-1] if len(shape) > 2 else 1
        self._classes = symbol_classes(codebook)
        self._depth = value_bits(codebook)
        self._mask, self._values = mask, values
        self._mask_bits, self._value_bits = model.bits_of_mask(), model.bits_of_values(self._depth)
        outside = self.taps  # a tap that is never written: zero
        self._neighbours = [
            (
                tap - 1 if tap % width else outside,
                tap - width if tap >= width else outside,
                int(tap % width > 0) + 2 * int(tap >= width),
            )
            for tap in range(self.taps)
        ]

    def code(self, expected: list[int], level: int) -> list[int]:
        """Code a kernel; return its symbols, which an encoder expects and a decoder finds."""
        symbols, classes = [0] * self.taps, [0] * (self.taps + 1)
        for tap, (left, above, edges) in enumerate(self._neighbours):
            first, second = classes[left], classes[above]
            context = (level * _LARGENESS_SUMS + _LARGENESS[first] + _LARGENESS[second]) * _EDGES + edges
            if self._mask.code(self._mask_bits, context, expected[tap] != 0):
                symbol = self._code_value(expected[tap] - 1, first * CLASSES + second) + 1
                if symbol >= len(self._classes):
                    raise _PastCodebook(symbol)
                symbols[tap] = symbol
                classes[tap] = self._classes[symbol]
        return symbols

    def _code_value(self, code: int, context: int) -> int:
        """An entry's number, high bit first, each bit under those before it."""
        node, base = 1, context << self._depth
        for place in range(self._depth - 1, -1, -1):
            node = node << 1 | self._values.code(self._value_bits, base + node, code >> place & 1)
        return node - (1 << self._depth)


def density_level(nonzeros: int, elements: int) -> int:
    """Half octaves of the density of what stands before: bits of the square of 256 * nonzeros // elements."""
    if not elements:
        return DENSITY_LEVELS - 1
    return ((256 * nonzeros // elements) ** 2).bit_length()


def value_bits(codebook: np.ndarray) -> int:
    """Bits of an entry's number."""
    return (len(codebook) - 1).bit_length()


def _past_codebook(symbol: int, codebook: np.ndarray, place: str) -> MalformedBundle:
    return MalformedBundle(f"{place}: value symbol {symbol}, must be <= {len(codebook)}")


def symbol_classes(codebook: np.ndarray) -> list[int]:
    """Class of each symbol: 0 of a zero; large is the outer half of the longer side of the codebook, by rank."""
    negatives = int(np.count_nonzero(codebook < 0))
    ranks = np.abs(np.arange(len(codebook)) - negatives) + (codebook > 0)
    large = 2 * ranks > max(negatives, len(codebook) - negatives)
    return [0, *(np.where(codebook < 0, 1, 3) + large).tolist()]
