"""Groups of weights that stay or go together: filters, input channels, columns of the matrix a convolution is."""

import torch
from torch import Tensor

KINDS = ("filters", "channels", "columns")
_AXES = {"filters": (0,), "channels": (1,), "columns": (1, 2, 3)}


def group_norms(weight: Tensor, kind: str, order: float = 2.0) -> Tensor:
    """The l-`order` norm of each group, flat.

    Args:
        weight: [outputs, inputs, height, width] or [outputs, inputs].
        kind: `filters` (one an output), `channels` (one an input) or `columns` (one an input and tap: a column of
            the matrix [outputs, inputs * height * width]).
    """
    others = _others(weight, kind)
    return torch.linalg.vector_norm(weight, order, dim=others).flatten()


def spread(groups: Tensor, weight: Tensor, kind: str) -> Tensor:
    """One value a group, flat, as a tensor that broadcasts against the weight."""
    others = set(_others(weight, kind))
    return groups.reshape([1 if axis in others else size for axis, size in enumerate(weight.shape)])


def group_count(weight: Tensor, kind: str) -> int:
    """How many groups a weight has."""
    return weight.numel() // _size(weight, kind)


def best_groups(norms: Tensor, kept: int) -> Tensor:
    """True for the `kept` largest norms, bool of the norms' shape; of equal ones, the earlier."""
    best = torch.zeros(len(norms), dtype=torch.bool, device=norms.device)
    best[norms.argsort(descending=True, stable=True)[:kept]] = True
    return best


def kept_count(count: int, share: float) -> int:
    """floor(count * share), at least 1 (Li et al. 2019, section 3.1)."""
    return max(int(count * share + 1e-9), 1)


def _others(weight: Tensor, kind: str) -> tuple[int, ...]:
    return tuple(axis for axis in range(weight.ndim) if axis not in _AXES[kind])


def _size(weight: Tensor, kind: str) -> int:
    size = 1
    for axis in _others(weight, kind):
        size *= weight.shape[axis]
    return size
