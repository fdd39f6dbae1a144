"""Canonical Huffman codes of limited length. Lengths travel, codes never do.

Canonical order is that of RFC 1951, section 3.2.2: shorter codes first, equal lengths by symbol. Lengths are found by
package-merge (Larmore and Hirschberg 1990), which is optimal under the limit.
"""

from dataclasses import dataclass

import numpy as np
from bitarray import bitarray, frozenbitarray
from bitarray.util import int2ba

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.limits import MAX_ALPHABET, MAX_CODE_LENGTH

NO_SYMBOL = MAX_ALPHABET  # what the unused half of a one-symbol table decodes to
_KRAFT_ONE = 1 << MAX_CODE_LENGTH


@dataclass(frozen=True, slots=True)
class HuffmanTable:
    """Code lengths by symbol, 0 where a symbol has no code; the last one is not 0.

    The Kraft sum is exactly 1. The one exception: a single symbol has a code of one bit, and the sum is 1/2.

    Raises:
        MalformedBundle: a length is out of range, or the lengths are over-subscribed or incomplete.
        BundleTooLarge: more symbols than `MAX_ALPHABET`.
    """

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.lengths) > MAX_ALPHABET:
            raise BundleTooLarge(f"Huffman table: {len(self.lengths)} symbols, must be <= {MAX_ALPHABET}")
        if not self.lengths or self.lengths[-1] == 0:
            raise MalformedBundle("Huffman table: the last length is 0 or missing, must be 1 or more")
        if min(self.lengths) < 0 or max(self.lengths) > MAX_CODE_LENGTH:
            raise MalformedBundle(f"Huffman table: length {max(self.lengths)}, must be <= {MAX_CODE_LENGTH}")
        kraft = sum((_KRAFT_ONE >> length) * self.lengths.count(length) for length in range(1, MAX_CODE_LENGTH + 1))
        single = self.lengths[-1] == 1 and self.lengths.count(0) == len(self.lengths) - 1
        if kraft != _KRAFT_ONE and not single:
            raise MalformedBundle(f"Huffman table: Kraft sum {kraft}/{_KRAFT_ONE}, must be {_KRAFT_ONE}/{_KRAFT_ONE}")

    def codes(self) -> dict[int, bitarray]:
        """symbol -> its code."""
        codes: dict[int, bitarray] = {}
        code, previous = 0, 0
        for symbol in self._canonical_order().tolist():
            length = self.lengths[symbol]
            code <<= length - previous
            codes[symbol] = frozenbitarray(int2ba(code, length))
            code, previous = code + 1, length
        return codes

    def lookup(self) -> np.ndarray:
        """uint16 [2**MAX_CODE_LENGTH]: next bits -> symbol << 4 | length."""
        symbols = self._canonical_order()
        used = np.array(self.lengths, dtype=np.uint16)[symbols]
        entries = symbols.astype(np.uint16) << 4 | used
        if len(entries) > 1:
            return np.repeat(entries, _KRAFT_ONE >> used)
        table = np.full(_KRAFT_ONE, NO_SYMBOL << 4 | 1, dtype=np.uint16)
        table[: _KRAFT_ONE // 2] = entries
        return table

    def coded_bits(self, counts: np.ndarray) -> int:
        """Bits that symbols of these counts take; every counted symbol must have a code."""
        return int(np.dot(counts[: len(self.lengths)], np.array(self.lengths[: len(counts)], dtype=np.int64)))

    def _canonical_order(self) -> np.ndarray:
        """The symbols that have a code."""
        lengths = np.array(self.lengths, dtype=np.uint16)
        return np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]


def fit_table(counts: np.ndarray) -> HuffmanTable:
    """The optimal table for symbols counted int64 [alphabet]; at least one count must be positive.

    Raises:
        BundleTooLarge: more symbols than the format allows.
    """
    used = np.flatnonzero(counts)
    lengths = [0] * (int(used[-1]) + 1)
    for symbol, length in zip(used, _package_merge(counts[used].tolist()), strict=True):
        lengths[symbol] = length
    return HuffmanTable(tuple(lengths))


def _package_merge(counts: list[int]) -> list[int]:
    """Optimal code lengths <= MAX_CODE_LENGTH for positive counts, in their order."""
    if len(counts) == 1:
        return [1]
    coins = sorted((count, (index,)) for index, count in enumerate(counts))
    merged: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(MAX_CODE_LENGTH):
        level = sorted(coins + merged, key=lambda package: package[0])
        merged = [(level[i][0] + level[i + 1][0], level[i][1] + level[i + 1][1]) for i in range(0, len(level) - 1, 2)]
    lengths = [0] * len(counts)
    for _, members in merged[: len(counts) - 1]:
        for index in members:
            lengths[index] += 1
    return lengths


def encode_symbols(symbols: np.ndarray, table: HuffmanTable) -> bitarray:
    """Concatenate the codes of `symbols`.

    Raises:
        MalformedBundle: a symbol has no code.
    """
    bits = bitarray(endian="big")
    try:
        bits.encode(table.codes(), symbols.tolist())
    except ValueError as error:
        raise MalformedBundle(f"Huffman table: a symbol has no code ({error})") from None
    return bits
