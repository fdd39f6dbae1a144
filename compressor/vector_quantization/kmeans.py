"""Weighted k-means of vectors: k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd's iterations."""

import torch
from torch import Tensor

ITERATIONS = 30
_CHUNK = 1 << 16  # vectors whose distances are held at once


def fit_codewords(vectors: Tensor, weights: Tensor, count: int, seed: int) -> Tensor:
    """Codewords that lower sum of weights[i] * |vectors[i] - nearest codeword|^2.

    Args:
        vectors: float64 [vectors, length].
        weights: float64 [vectors], positive.
        count: the most codewords; fewer where there are fewer distinct vectors.

    Returns:
        float64 [codewords, length], each with a member.
    """
    generator = torch.Generator().manual_seed(seed)
    codewords = _seeds(vectors, weights, count, generator)
    for _ in range(ITERATIONS):
        codes = nearest(vectors, codewords)
        moved = _means(vectors, weights, codes, len(codewords))
        if torch.equal(moved, codewords):
            break
        codewords = moved
    used = torch.bincount(nearest(vectors, codewords), minlength=len(codewords)) > 0
    return codewords[used]


def nearest(vectors: Tensor, codewords: Tensor) -> Tensor:
    """The number of each vector's nearest codeword, int64 [vectors]; of equally near ones the first."""
    norms = codewords.square().sum(1)
    parts = [(norms - 2 * part @ codewords.T).argmin(1) for part in vectors.split(_CHUNK)]
    return torch.cat(parts)


def _seeds(vectors: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The first by weight, each next by weight and squared distance to the nearest so far."""
    chosen = [int(torch.multinomial(weights.cpu(), 1, generator=generator))]
    distances = (vectors - vectors[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        odds = (weights * distances).cpu()
        if not float(odds.sum()) > 0:
            break
        chosen.append(int(torch.multinomial(odds, 1, generator=generator)))
        distances = torch.minimum(distances, (vectors - vectors[chosen[-1]]).square().sum(1))
    return vectors[chosen].clone()


def _means(vectors: Tensor, weights: Tensor, codes: Tensor, count: int) -> Tensor:
    """The weighted mean of each codeword's members; one without any goes to the vectors that are worst served."""
    mass = torch.bincount(codes, weights=weights, minlength=count)
    sums = torch.stack([torch.bincount(codes, weights=weights * column, minlength=count) for column in vectors.T], 1)
    means = sums / mass.clamp_min(torch.finfo(mass.dtype).tiny)[:, None]
    empty = (mass == 0).nonzero().squeeze(1)
    if len(empty):
        error = weights * (vectors - means[codes]).square().sum(1)
        means[empty] = vectors[error.argsort(descending=True, stable=True)[: len(empty)]]
    return means
