import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import MalformedBundle
from model_store.gaps import decode_gaps, encode_gaps, gap_histogram

SETS = st.sets(st.integers(0, 5000), max_size=60)
LIMITS = st.integers(1, 1022)


def symbols_of(*symbols: int) -> np.ndarray:
    return np.array(symbols, np.uint16)


@given(SETS, LIMITS)
def test_gaps_round_trip(chosen: set[int], limit: int) -> None:
    positions = np.array(sorted(chosen), np.int64)
    symbols = encode_gaps(positions, limit)
    assert symbols.dtype == np.uint16
    decoded = decode_gaps(symbols, limit, len(positions), 5001, "here")
    assert decoded.dtype == np.int64
    assert decoded.tolist() == sorted(chosen)


@given(SETS.filter(bool), LIMITS)
def test_the_histogram_counts_what_would_be_written(chosen: set[int], limit: int) -> None:
    positions = np.array(sorted(chosen), np.int64)
    assert gap_histogram(positions, limit).tolist() == (
        np.bincount(encode_gaps(positions, limit), minlength=limit + 1).tolist()
    )


def test_a_gap_is_escapes_and_a_rest() -> None:
    assert encode_gaps(np.array([0, 1, 5, 13], np.int64), 3).tolist() == [0, 0, 3, 0, 3, 3, 1]
    assert encode_gaps(np.array([2], np.int64), 1).tolist() == [1, 1, 0]
    assert encode_gaps(np.array([], np.int64), 3).tolist() == []


def test_positions_past_16_bits_do_not_wrap() -> None:
    positions = np.array([65_535, 65_536, 131_072, (1 << 27) - 1], np.int64)
    symbols = encode_gaps(positions, 1022)
    assert decode_gaps(symbols, 1022, 4, 1 << 27, "here").tolist() == positions.tolist()


def test_a_symbol_past_the_limit_is_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^here: gap symbol 4, must be <= 3$"):
        decode_gaps(symbols_of(0, 4, 0), 3, 3, 100, "here")


@pytest.mark.parametrize(("symbols", "found", "count"), [((0, 3, 1), 2, 3), ((0, 3, 1), 2, 1), ((0, 1, 3), 2, 2)])
def test_positions_are_as_many_as_the_values_and_end_the_stream(
    symbols: tuple[int, ...], found: int, count: int
) -> None:
    with pytest.raises(
        MalformedBundle, match=rf"^here: {found} positions, must be {count}, the last symbol one of them$"
    ):
        decode_gaps(symbols_of(*symbols), 3, count, 100, "here")


def test_escapes_alone_are_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^here: 0 positions, must be 0, the last symbol one of them$"):
        decode_gaps(symbols_of(3, 3), 3, 0, 100, "here")


def test_the_last_position_may_touch_the_end_but_not_pass_it() -> None:
    assert decode_gaps(symbols_of(1, 3, 0), 3, 2, 6, "here").tolist() == [1, 5]
    with pytest.raises(MalformedBundle, match=r"^here: position 5, must be < 5$"):
        decode_gaps(symbols_of(1, 3, 0), 3, 2, 5, "here")
