import heapq
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.huffman import NO_SYMBOL, HuffmanTable, encode_symbols, fit_table
from model_store.limits import MAX_ALPHABET, MAX_CODE_LENGTH


def heap_based(counts: list[int]) -> tuple[int, int]:
    """(total bits, longest code) of Huffman's own algorithm, without a limit of length."""
    heap = [(count, 0) for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        (first, low), (second, high) = heapq.heappop(heap), heapq.heappop(heap)
        total += first + second
        heapq.heappush(heap, (first + second, max(low, high) + 1))
    return total, heap[0][1]


def best_under_the_limit(counts: list[int], limit: int) -> int:
    """Fewest bits of any code with lengths up to `limit`: every choice of lengths, by the Kraft sum it takes."""
    best = {0: 0}
    for count in counts:
        following: dict[int, int] = {}
        for kraft, bits in best.items():
            for length in range(1, limit + 1):
                total = kraft + (1 << limit - length)
                if total <= 1 << limit and bits + length * count < following.get(total, 1 << 62):
                    following[total] = bits + length * count
        best = following
    return min(best.values())


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=200).filter(lambda counts: sum(map(bool, counts)) > 1))
def test_fitted_codes_are_as_short_as_those_of_huffmans_algorithm(counts: list[int]) -> None:
    table = fit_table(np.array(counts))
    total, depth = heap_based(counts)
    if depth <= MAX_CODE_LENGTH:
        assert table.coded_bits(np.array(counts)) == total
    else:
        assert table.coded_bits(np.array(counts)) >= total
    assert [bool(length) for length in table.lengths] == [bool(count) for count in counts[: len(table.lengths)]]


@given(st.lists(st.integers(1, 30).map(lambda power: 1 << power), min_size=13, max_size=18))
def test_steep_counts_are_held_to_the_longest_length(counts: list[int]) -> None:
    table = fit_table(np.array(counts))
    assert max(table.lengths) <= MAX_CODE_LENGTH
    assert sum(Fraction(1, 1 << length) for length in table.lengths) == 1


def test_limited_codes_are_the_best_of_all_under_the_limit() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 16:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for counts in (fibonacci, [3**k for k in range(15)], [1] * 5 + [4**k for k in range(12)]):
        assert heap_based(counts)[1] > MAX_CODE_LENGTH
        bits = fit_table(np.array(counts)).coded_bits(np.array(counts))
        assert bits == best_under_the_limit(counts, MAX_CODE_LENGTH)


def test_a_single_symbol_takes_one_bit() -> None:
    assert fit_table(np.array([0, 0, 7])).lengths == (0, 0, 1)
    assert encode_symbols(np.array([2, 2, 2], np.uint16), HuffmanTable((0, 0, 1))).to01() == "000"


def test_the_largest_alphabet_is_fitted() -> None:
    table = fit_table(np.ones(MAX_ALPHABET, np.int64))
    assert sorted(set(table.lengths)) == [9, 10]
    with pytest.raises(BundleTooLarge, match=r"^Huffman table: 1024 symbols, must be <= 1023$"):
        fit_table(np.ones(MAX_ALPHABET + 1, np.int64))


def test_codes_are_those_of_the_example_in_rfc_1951() -> None:
    codes = HuffmanTable((3, 3, 3, 3, 3, 2, 4, 4)).codes()
    expected = {0: "010", 1: "011", 2: "100", 3: "101", 4: "110", 5: "00", 6: "1110", 7: "1111"}
    assert {symbol: code.to01() for symbol, code in codes.items()} == expected


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60).filter(lambda counts: sum(map(bool, counts)) > 1))
def test_codes_are_canonical_and_complete(counts: list[int]) -> None:
    table = fit_table(np.array(counts))
    ordered = sorted((len(code), symbol, code.to01()) for symbol, code in table.codes().items())
    position = Fraction(0)
    for length, _, code in ordered:
        assert Fraction(int(code, 2), 1 << length) == position
        position += Fraction(1, 1 << length)
    assert position == 1


def test_lookup_gives_symbol_and_length_for_every_window() -> None:
    table = HuffmanTable((0, 2, 1, 2))
    lookup = table.lookup()
    assert lookup.shape == (4096,)
    for symbol, code in table.codes().items():
        first = int(code.to01().ljust(12, "0"), 2)
        assert set(lookup[first : first + (4096 >> len(code))]) == {symbol << 4 | len(code)}


def test_the_unused_half_of_a_single_symbol_is_marked() -> None:
    lookup = HuffmanTable((0, 0, 1)).lookup()
    assert set(lookup[:2048]) == {2 << 4 | 1}
    assert set(lookup[2048:]) == {NO_SYMBOL << 4 | 1}


@pytest.mark.parametrize(
    ("lengths", "kraft"),
    [
        ((1, 1, 1), 6144),
        ((1, 2, 2, 2), 5120),
        ((*range(1, 13), 12, 12), 4097),
        ((2, 2, 3), 2560),
        ((3,), 512),
        ((2, 2), 2048),
        ((1, 0, 2), 3072),
        ((*range(1, 13),), 4095),
    ],
)
def test_lengths_that_are_over_subscribed_or_incomplete_are_refused(lengths: tuple[int, ...], kraft: int) -> None:
    with pytest.raises(MalformedBundle, match=rf"^Huffman table: Kraft sum {kraft}/4096, must be 4096/4096$"):
        HuffmanTable(lengths)


@pytest.mark.parametrize("lengths", [(), (0,), (1, 1, 0), (0, 0, 0)])
def test_the_last_length_is_not_0(lengths: tuple[int, ...]) -> None:
    with pytest.raises(MalformedBundle, match=r"^Huffman table: the last length is 0 or missing, must be 1 or more$"):
        HuffmanTable(lengths)


@pytest.mark.parametrize("length", [13, 15])
def test_a_length_past_the_limit_is_refused(length: int) -> None:
    with pytest.raises(MalformedBundle, match=rf"^Huffman table: length {length}, must be <= 12$"):
        HuffmanTable((1, length))


@pytest.mark.parametrize("symbol", [0, 3, 4, 1000])
def test_a_symbol_without_a_code_cannot_be_written(symbol: int) -> None:
    with pytest.raises(MalformedBundle, match=r"^Huffman table: a symbol has no code \("):
        encode_symbols(np.array([1, symbol], np.uint16), HuffmanTable((0, 1, 1)))
