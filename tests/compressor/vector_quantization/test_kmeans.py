"""K-means of vectors: no worse than chance, weights count, few distinct vectors need few codewords."""

import pytest
import torch

from compressor.vector_quantization.kmeans import fit_codewords, nearest


def error(vectors: torch.Tensor, weights: torch.Tensor, codewords: torch.Tensor) -> float:
    return float((weights * (vectors - codewords[nearest(vectors, codewords)]).square().sum(1)).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_separated_clusters_are_found(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres = 10 * torch.randn(5, 3, generator=generator, dtype=torch.float64)
    vectors = centres.repeat(20, 1) + 0.01 * torch.randn(100, 3, generator=generator, dtype=torch.float64)
    found = fit_codewords(vectors, torch.ones(100, dtype=torch.float64), 5, seed)
    assert torch.cdist(centres, found).min(1).values.max() < 0.05


def test_a_codeword_is_the_weighted_mean_of_its_members() -> None:
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]], dtype=torch.float64)
    found = fit_codewords(vectors, torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64), 2, 0)
    assert sorted(found.tolist()) == [[0.25, 0.0], [9.0, 9.0]]


def test_more_codewords_err_less_and_weights_say_where() -> None:
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(400, 4, generator=generator, dtype=torch.float64)
    even, uneven = torch.ones(400, dtype=torch.float64), torch.rand(400, generator=generator).double() ** 4 + 1e-3
    errors = [error(vectors, even, fit_codewords(vectors, even, count, 0)) for count in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    minded, unminded = (fit_codewords(vectors, weights, 16, 0) for weights in (uneven, even))
    assert error(vectors, uneven, minded) < error(vectors, uneven, unminded)


def test_no_more_codewords_than_distinct_vectors_and_none_without_a_member() -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64).repeat(6, 1)
    found = fit_codewords(vectors, torch.ones(12, dtype=torch.float64), 8, 0)
    assert sorted(found.tolist()) == [[1.0, 2.0], [3.0, 4.0]]


def test_equally_near_means_the_first() -> None:
    assert nearest(torch.zeros(2, 1), torch.tensor([[1.0], [-1.0]])).tolist() == [0, 0]
