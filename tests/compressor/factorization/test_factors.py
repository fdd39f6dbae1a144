"""Truncated SVD and Tucker-2: exact at full rank, best at lower ones, ranks by energy."""

import pytest
import torch
from torch import Tensor

from compressor.factorization.factors import rank_by_energy, svd_factors, tucker2_factors, tucker2_ranks


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_rank(rows: int, columns: int, rank: int) -> Tensor:
    return drawn(rows, rank, seed=1) @ drawn(rank, columns, seed=2)


def rebuilt(factors: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    last, core, first = factors
    return torch.einsum("or,rshw,si->oihw", last, core, first)


@pytest.mark.parametrize(("energy", "rank"), [(0.0, 1), (0.64, 1), (0.641, 2), (0.99, 2), (0.9901, 3), (1.0, 3)])
def test_the_rank_is_the_least_that_keeps_the_energy(energy: float, rank: int) -> None:
    assert rank_by_energy(torch.diag(torch.tensor([8.0, 35.0**0.5, 1.0])), energy) == rank


def test_a_matrix_of_zeros_has_rank_one_at_any_energy() -> None:
    assert rank_by_energy(torch.zeros(3, 4), 0.9) == 1


def test_svd_at_the_matrix_rank_is_exact() -> None:
    matrix = of_rank(9, 7, 3)
    last, first = svd_factors(matrix, 3)
    assert (last.shape, first.shape) == ((9, 3), (3, 7))
    assert torch.allclose(last @ first, matrix, atol=1e-5)


def test_svd_error_is_the_energy_that_is_cut_off() -> None:
    matrix = drawn(9, 7)
    last, first = svd_factors(matrix, 4)
    cut = torch.linalg.svdvals(matrix)[4:].square().sum()
    assert torch.allclose((matrix - last @ first).square().sum(), cut, rtol=1e-4)


def test_svd_factors_are_of_equal_norm() -> None:
    last, first = svd_factors(drawn(9, 7), 4)
    assert torch.allclose(last.norm(), first.norm(), rtol=1e-5)


def test_tucker2_at_full_ranks_is_exact() -> None:
    kernel = drawn(6, 5, 3, 2)
    assert torch.allclose(rebuilt(tucker2_factors(kernel, (6, 5))), kernel, atol=1e-5)


def test_tucker2_finds_the_ranks_a_kernel_has() -> None:
    kernel = torch.einsum("or,rshw,si->oihw", drawn(8, 2), drawn(2, 3, 3, 3, seed=1), drawn(3, 7, seed=2))
    assert tucker2_ranks(kernel, 0.99999) == (2, 3)
    assert torch.allclose(rebuilt(tucker2_factors(kernel, (2, 3))), kernel, atol=1e-4)


def test_tucker2_bases_are_orthogonal_and_iterating_beats_truncation_alone() -> None:
    kernel = drawn(8, 7, 3, 3)
    last, core, first = tucker2_factors(kernel, (3, 2))
    assert torch.allclose(last.T @ last, torch.eye(3), atol=1e-5)
    assert torch.allclose(first @ first.T, torch.eye(2), atol=1e-5)
    plain_last = torch.linalg.svd(kernel.flatten(1), full_matrices=False).U[:, :3]
    plain_first = torch.linalg.svd(kernel.movedim(1, 0).flatten(1), full_matrices=False).U[:, :2]
    plain_core = torch.einsum("oihw,or,is->rshw", kernel, plain_last, plain_first)
    assert core.norm() > plain_core.norm()  # what the core holds is what the approximation keeps
