"""Whether engines agree, which dense runtime is the best, and how the others compare with it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from service.bench.report import TOLERANCE, Row
from service.engine.plan import Array


def difference_of(logits: Array, expected: Array) -> float:
    """The largest difference in shares of the largest expected logit; infinite where shapes differ or one is NaN."""
    if logits.shape != expected.shape or not np.isfinite(logits).all():
        return math.inf
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(logits - expected).max()) / scale


def verdict(difference: float, tolerance: float = TOLERANCE) -> str:
    """Why an engine that differs so much does not count; "" where it does."""
    if difference <= tolerance:
        return ""
    return f"disagrees: logits differ by {difference:.2g} of the largest, more than {tolerance:g}"


def best_dense(rows: Iterable[Row]) -> Row | None:
    """The fastest of somebody else's runtimes, among those that agree."""
    candidates = [row for row in rows if row.dense and row.counts]
    return min(candidates, key=_median_s, default=None)


def compare(rows: Sequence[Row], multiply_adds: int, peak: float | None) -> tuple[Row, ...]:
    """Rows of one network, batch size and number of threads, with their ratios and shares of the peak.

    Args:
        multiply_adds: of the non-zero weights for one picture.
        peak: multiply-adds a second of that many threads, where it is known.
    """
    best = best_dense(rows)

    def rate(row: Row) -> Row:
        if not row.counts:
            return row
        ratio = None if best is None else _median_s(best) / _median_s(row)
        share = None if peak is None else row.batch * multiply_adds / _median_s(row) / peak
        return replace(row, ratio=ratio, share_of_peak=share)

    return tuple(rate(row) for row in rows)


def _median_s(row: Row) -> float:
    assert row.timing is not None  # only rows that count
    return row.timing.median_s
