"""K-means in one dimension: Lloyd's iterations over sorted values, exact and fast through prefix sums."""

import numpy as np

from compressor.errors import RecipeError

INITIALISATIONS = ("linear", "density", "forgy", "aligned")
MAX_ITERATIONS = 300


def initial_centroids(values: np.ndarray, clusters: int, initialisation: str, seed: int = 0) -> np.ndarray:
    """Centroids to start from, float64 [clusters], ascending (Han et al. 2016, section 3.2).

    Args:
        values: float64 [count], ascending.
        initialisation: `linear` spaces them equally over [min, max], `density` equally over the cumulative
            distribution, `forgy` draws that many of the values; `aligned` divides what lies beyond the pruning
            threshold on either side of 0 into bins of one width or nearly so, the first of which begin there, and
            takes their middles.
    """
    if initialisation == "linear":
        return np.linspace(values[0], values[-1], clusters)
    if initialisation == "density":
        return np.quantile(values, (np.arange(clusters) + 0.5) / clusters)
    if initialisation == "aligned":
        return _aligned(values, clusters)
    if initialisation == "forgy":
        return np.sort(np.random.default_rng(seed).choice(values, clusters, replace=False))
    raise RecipeError(f"initialisation {initialisation!r}, must be one of {', '.join(INITIALISATIONS)}")


def fit_centroids(values: np.ndarray, clusters: int, initialisation: str = "linear", seed: int = 0) -> np.ndarray:
    """Centroids, float64 ascending, that Lloyd's algorithm reaches; at most `clusters`, and distinct.

    A cluster that loses all its values goes where the largest squared error is; where there are no more distinct
    values than clusters, the values themselves are the centroids.

    Args:
        values: [count], in any order, at least one.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    distinct = np.unique(ordered)
    if len(distinct) <= clusters:
        return distinct
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    centroids = initial_centroids(ordered, clusters, initialisation, seed)
    for _ in range(MAX_ITERATIONS):
        moved = _lloyd_step(ordered, sums, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return np.unique(centroids)


def assign(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The index of the nearest centroid for every value, int64 of the values' shape; the lower one on a tie.

    Args:
        centroids: ascending.
    """
    return np.searchsorted(_borders(centroids), np.asarray(values, dtype=np.float64), side="left")


def squared_error(values: np.ndarray, centroids: np.ndarray) -> float:
    """The within-cluster sum of squares that k-means minimises."""
    return float(np.square(np.asarray(values, dtype=np.float64) - centroids[assign(values, centroids)]).sum())


def _borders(centroids: np.ndarray) -> np.ndarray:
    centroids = np.asarray(centroids, dtype=np.float64)
    return centroids[:-1] + (centroids[1:] - centroids[:-1]) / 2


def _aligned(values: np.ndarray, clusters: int) -> np.ndarray:
    """The middles of bins over [min, last below 0] and [first above, max]; both have one where there are values."""
    sides = [side for side in np.split(values, [np.searchsorted(values, 0)]) if side.size]
    if clusters < len(sides):
        return np.array([values.mean()])
    ranges = [side[-1] - side[0] for side in sides]
    first = clusters
    if len(sides) == 2:
        share = ranges[0] / (sum(ranges) or 1.0)
        first = min(max(round(clusters * share), 1), clusters - 1)
    counts = (first, clusters - first)
    bins = [np.linspace(side[0], side[-1], count + 1) for side, count in zip(sides, counts, strict=False)]
    return np.concatenate([(edges[:-1] + edges[1:]) / 2 for edges in bins])


def _lloyd_step(ordered: np.ndarray, sums: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The mean of each cluster, which in one dimension is a run of the sorted values."""
    ends = np.searchsorted(ordered, _borders(centroids), side="right")
    bounds = np.concatenate(([0], ends, [len(ordered)]))
    counts = np.diff(bounds)
    means = np.diff(sums[bounds]) / np.maximum(counts, 1)
    if not counts.all():
        means = _refill(ordered, centroids, np.where(counts > 0, means, centroids), np.flatnonzero(counts == 0))
    return np.sort(means)


def _refill(ordered: np.ndarray, centroids: np.ndarray, means: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Send each empty cluster to a value among those that are worst served."""
    distances = np.abs(ordered - centroids[assign(ordered, centroids)])
    worst = np.argsort(-distances, kind="stable")
    filled = means.copy()
    filled[empty] = ordered[worst[: len(empty)]]
    return filled
