"""Projections of the lp-box: {0, 1}^n is where a box meets a sphere (Wu and Ghanem 2019, Li et al. 2019)."""

import math

import torch
from torch import Tensor

BISECTIONS = 60


def project_capped_simplex(point: Tensor, total: float) -> Tensor:
    """The nearest x to `point` with 0 <= x <= 1 and sum(x) = total: float64, of the point's shape [n].

    x = clamp(point - mu, 0, 1), whose sum falls as mu rises, so that mu is found by bisection (Wang and Lu 2015).

    Args:
        total: within 0..n.
    """
    values = point.double()
    low, high = values.min() - 1, values.max()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = (values - middle).clamp(0, 1).sum() > total
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (values - (low + high) / 2).clamp(0, 1)


def project_sphere(point: Tensor) -> Tensor:
    """The nearest x to `point` on the sphere around 1/2 that goes through all corners of the unit cube: float64 [n].

    Its centre is as near to every point of it; (1, .., 1) is taken.
    """
    offset = point.double() - 0.5
    norm = torch.linalg.vector_norm(offset)
    offset = torch.where(norm > 0, offset, torch.ones_like(offset))
    return 0.5 + offset * (math.sqrt(len(offset)) / (2 * torch.linalg.vector_norm(offset)))
