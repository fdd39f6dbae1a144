"""Fit a codebook to a layer's surviving weights and give every weight its code."""

import numpy as np

from compressor.sharing.kmeans import assign, fit_centroids
from model_store.tensors import SharedTensor

ENTROPY_ROUNDS = 12


def fit_codebook(weights: np.ndarray, size: int, initialisation: str = "linear", seed: int = 0) -> np.ndarray:
    """At most `size` centroids of the non-zero weights, as a codebook: float16, ascending, distinct, without 0."""
    alive = weights[weights != 0]
    if not alive.size:
        return np.empty(0, dtype=np.float16)
    return _as_codebook(fit_centroids(alive, size, initialisation, seed))


def share(weights: np.ndarray, codebook: np.ndarray, entropy_penalty: float = 0.0) -> SharedTensor:
    """Give every non-zero weight a code.

    With a penalty the code is argmin (w - c)^2 / mean(w^2) + penalty * bits(c), where bits(c) is the entropy code
    length at the frequencies that this assignment itself gives; codes, lengths and centroids are re-estimated in turn
    (entropy-constrained scalar quantisation, Chou, Lookabaugh and Gray 1989). Values that few weights take disappear.

    Args:
        weights: float32, rank 2 or 4.
        codebook: ascending, without 0; an empty one, of a layer without weights, shares nothing.
        entropy_penalty: squared error, relative to the layer's mean square, that one bit may cost; 0 takes the nearest.
    """
    if not len(codebook):
        return exact_codebook(np.zeros_like(weights))
    flat = np.asarray(weights, dtype=np.float64).ravel()
    positions = np.flatnonzero(flat)
    return _shared(weights.shape, positions, shared_values(flat[positions], codebook, entropy_penalty))


def shared_values(alive: np.ndarray, codebook: np.ndarray, entropy_penalty: float = 0.0) -> np.ndarray:
    """What `share` gives each of these non-zero weights, float16 [count], of whatever layers they are."""
    alive, centroids = np.asarray(alive, dtype=np.float64), codebook.astype(np.float64)
    codes = assign(alive, centroids)
    if entropy_penalty > 0 and alive.size:
        codes, centroids = _constrain(alive, codes, centroids, entropy_penalty * float(np.mean(alive**2)))
    return centroids.astype(np.float16)[codes]


def exact_codebook(weights: np.ndarray) -> SharedTensor:
    """The codes of weights that share values already, rounded to float16."""
    flat = np.asarray(weights, dtype=np.float32).ravel()
    positions = np.flatnonzero(flat)
    return _shared(weights.shape, positions, flat[positions].astype(np.float16))


def _shared(shape: tuple[int, ...], positions: np.ndarray, values: np.ndarray) -> SharedTensor:
    """Values equal after rounding share a code, values rounded to 0 are pruned, and no entry is left unused."""
    kept, positions = values != 0, positions.astype(np.int32)
    if not kept.any():  # a codebook has at least one entry; a tensor of zeros uses none of it
        kept, values = np.zeros(len(values), dtype=bool), np.ones(len(values) or 1, dtype=np.float16)
        return SharedTensor(shape, positions[kept], np.empty(0, dtype=np.uint16), values[:1])
    codebook, codes = np.unique(values[kept], return_inverse=True)
    return SharedTensor(shape, positions[kept], codes.astype(np.uint16), codebook)


def _as_codebook(centroids: np.ndarray) -> np.ndarray:
    rounded = np.unique(centroids.astype(np.float16))
    return rounded[rounded != 0]


def _constrain(
    values: np.ndarray, codes: np.ndarray, centroids: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    for _ in range(ENTROPY_ROUNDS):
        counts = np.bincount(codes, minlength=len(centroids))
        used = counts > 0
        sums = np.bincount(codes, weights=values, minlength=len(centroids))
        centroids = sums[used] / counts[used]
        bits = -np.log2(counts[used] / len(values))
        best = _cheapest(values, centroids, penalty * bits)
        if used.all() and np.array_equal(best, codes):
            break
        codes = best
    return codes, centroids


def _cheapest(values: np.ndarray, centroids: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """argmin over c of (v - c)^2 + cost(c) for every value, entry by entry so that memory stays that of the values."""
    codes = np.zeros(len(values), dtype=np.int64)
    least = np.full(len(values), np.inf)
    for code, (centroid, cost) in enumerate(zip(centroids, costs, strict=True)):
        total = np.square(values - centroid) + cost
        better = total < least
        codes[better] = code
        least[better] = total[better]
    return codes
