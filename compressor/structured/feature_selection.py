"""Infinite feature selection: which features matter, from their spread and their redundancy, along paths of any length.

Roffo, Melzi and Cristani 2015, "Infinite Feature Selection" (ICCV), sections 2 and 3, unsupervised.
"""

import torch
from torch import Tensor

MIXING = 0.5  # alpha: spread against redundancy
REGULARIZATION = 0.9  # r = 0.9 / spectral radius, below which the sum over path lengths converges


def rank_features(responses: Tensor) -> Tensor:
    """The energy of each feature, float64 [features], 0 and more; a constant feature has none.

    Args:
        responses: [pictures, features], 2 pictures or more.
    """
    graph = _adjacency(responses.double())
    radius = float(torch.linalg.eigvalsh(graph).abs().max())
    if not radius:
        return torch.zeros(len(graph), dtype=torch.float64)
    identity = torch.eye(len(graph), dtype=torch.float64)
    paths = torch.linalg.inv(identity - REGULARIZATION / radius * graph) - identity
    return paths.sum(1).clamp_min(0.0)


def _adjacency(responses: Tensor) -> Tensor:
    """alpha * max(spread_i, spread_j) + (1 - alpha) * (1 - |Spearman correlation|), 0 beside constant features."""
    spread = responses.std(0)
    alive = spread > 0
    spread = spread / spread.max().clamp_min(torch.finfo(spread.dtype).tiny)
    ranks = torch.stack([_ranks(column) for column in responses.T], 1)
    ranks = ranks - ranks.mean(0)
    norms = torch.linalg.vector_norm(ranks, dim=0).clamp_min(torch.finfo(ranks.dtype).tiny)
    correlation = (ranks / norms).T @ (ranks / norms)
    graph = MIXING * torch.maximum(spread[:, None], spread) + (1 - MIXING) * (1 - correlation.abs().clamp_max(1.0))
    return graph * (alive[:, None] & alive)


def _ranks(column: Tensor) -> Tensor:
    """Ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = torch.unique(column, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts.double() + 1) / 2)[inverse]
