"""The factors of one weight tensor, and the rank at which they keep a share of its energy."""

import torch
from torch import Tensor

ROUNDING = 1e-7  # of float32 weights
ITERATIONS = 10  # of the alternation below; its error falls in the first few


def rank_by_energy(matrix: Tensor, energy: float) -> int:
    """The least rank whose best approximation keeps `energy` (0..1) of the squared Frobenius norm; at least 1."""
    squares = torch.linalg.svdvals(matrix.double()).square()
    lost = squares.flip(0).cumsum(0).flip(0)  # what every rank from 0 on leaves out
    allowed = (1 - energy + ROUNDING) * lost[0]
    return max(int((lost > allowed).sum()), 1)


def svd_factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(last [outputs, rank], first [rank, inputs]), whose product is the best of that rank (Eckart and Young 1936).

    Each takes the square root of the singular values, so that weight decay treats them alike.

    Args:
        matrix: float32 [outputs, inputs].
    """
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    roots = values[:rank].sqrt()
    return (left[:, :rank] * roots).float(), (roots[:, None] * right[:rank]).float()


def tucker2_ranks(weight: Tensor, energy: float) -> tuple[int, int]:
    """(output rank, input rank): each that of the kernel unfolded along it.

    Args:
        weight: float32 [outputs, inputs, height, width].
    """
    return rank_by_energy(_unfold(weight, 0), energy), rank_by_energy(_unfold(weight, 1), energy)


def tucker2_factors(weight: Tensor, ranks: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """(last [outputs, r], core [r, s, height, width], first [s, inputs]): Tucker-2 (Kim et al. 2016, section 3.1).

    The two bases are orthogonal; each in turn is the best for the other (higher-order orthogonal iteration, De
    Lathauwer et al. 2000), starting from those of the unfolded kernel.

    Args:
        weight: float32 [outputs, inputs, height, width].
        ranks: r and s.
    """
    kernel = weight.double()
    last, first = _basis(_unfold(kernel, 0), ranks[0]), _basis(_unfold(kernel, 1), ranks[1])
    for _ in range(ITERATIONS):
        last = _basis(_unfold(torch.einsum("oihw,is->oshw", kernel, first), 0), ranks[0])
        first = _basis(_unfold(torch.einsum("oihw,or->rihw", kernel, last), 1), ranks[1])
    core = torch.einsum("oihw,or,is->rshw", kernel, last, first)
    return last.float(), core.float(), first.T.float()


def _unfold(weight: Tensor, axis: int) -> Tensor:
    return weight.movedim(axis, 0).flatten(1)


def _basis(matrix: Tensor, rank: int) -> Tensor:
    """The leading left singular vectors, [rows, rank]."""
    return torch.linalg.svd(matrix.double(), full_matrices=False).U[:, :rank]
