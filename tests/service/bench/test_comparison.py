import math

import numpy as np
import pytest

from service.bench.comparison import best_dense, compare, difference_of, verdict
from service.bench.report import Row
from service.bench.rounds import Timing


def row(engine: str, median_s: float | None, *, dense: bool = True, problem: str = "") -> Row:
    timing = None if median_s is None else Timing(3, median_s, median_s, median_s, 0.01)
    return Row("network", 1, 4, engine, dense, 0.0, problem, timing, None, None)


def test_a_difference_is_in_shares_of_the_largest_logit() -> None:
    expected = np.array([[1.0, -4.0], [2.0, 0.0]], dtype=np.float32)
    logits = expected + np.array([[0.0, 0.0], [0.5, 0.0]], dtype=np.float32)
    assert difference_of(logits, expected) == 0.125
    assert difference_of(expected, expected) == 0.0


@pytest.mark.parametrize(
    "logits", [np.zeros((2, 3)), np.zeros(2), np.array([[np.nan, 0.0]]), np.array([[np.inf, 0.0]])]
)
def test_other_shapes_and_what_is_not_finite_differ_infinitely(logits: np.ndarray) -> None:
    assert difference_of(logits.astype(np.float32), np.ones((1, 2), dtype=np.float32)) == math.inf


def test_logits_of_zero_can_be_compared() -> None:
    zeros = np.zeros((1, 2), dtype=np.float32)
    assert difference_of(zeros, zeros) == 0.0
    assert difference_of(zeros + np.float32(1), zeros) > 1


def test_the_tolerance_is_a_ten_thousandth() -> None:
    assert verdict(1e-4) == ""
    assert verdict(2e-4) == "disagrees: logits differ by 0.0002 of the largest, more than 0.0001"


def test_the_best_dense_runtime_is_no_engine_of_ours_and_none_with_a_problem() -> None:
    slow, fast = row("slow", 2.0), row("fast", 1.5)
    rows = [row("own", 0.1, dense=False), row("wrong", 0.2, problem="disagrees"), slow, fast, row("dead", None)]
    assert best_dense(rows) is fast
    assert best_dense(rows[:2]) is None


def test_rows_get_their_ratio_and_their_share_of_the_peak() -> None:
    own, dense, dead = compare([row("own", 0.5, dense=False), row("dense", 2.0), row("dead", None)], 100, 3200.0)
    assert (own.ratio, dense.ratio, dead.ratio) == (4.0, 1.0, None)
    assert (own.share_of_peak, dense.share_of_peak, dead.share_of_peak) == (4 * 100 / 0.5 / 3200, 0.0625, None)
    (alone,) = compare([row("own", 0.5, dense=False)], 100, None)
    assert (alone.ratio, alone.share_of_peak) == (None, None)
