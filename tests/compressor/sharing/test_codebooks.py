"""Codebooks are float16, rising, without zero; a weight gets the nearest value, or the cheapest by rate and error."""

import numpy as np
import pytest

from compressor.sharing.codebooks import exact_codebook, fit_codebook, share
from model_store.tensors import SharedTensor


def drawn_weights(seed: int = 0, shape: tuple[int, ...] = (16, 8, 3, 3)) -> np.ndarray:
    """Laplace-distributed, two thirds pruned."""
    random = np.random.default_rng(seed)
    values, alive = random.laplace(0, 0.1, shape).astype(np.float32), random.random(shape) < 1 / 3
    weights: np.ndarray = np.where(alive, values, np.float32(0))
    return weights


def frequencies(shared: SharedTensor) -> np.ndarray:
    counts = np.bincount(shared.codes)
    assert counts.all(), "an entry is used by no weight"
    shares: np.ndarray = counts / counts.sum()
    return shares


def entropy_bits(shared: SharedTensor) -> float:
    """Bits per weight of the codes."""
    shares = frequencies(shared)
    return float(-(shares * np.log2(shares)).sum())


def mean_square_error(weights: np.ndarray, shared: SharedTensor) -> float:
    """Over the surviving weights."""
    alive = weights != 0
    return float(np.square(weights.astype(np.float64) - shared.to_dense())[alive].mean())


@pytest.mark.parametrize("initialisation", ["linear", "density", "forgy"])
@pytest.mark.parametrize("size", [1, 2, 16, 64])
def test_a_codebook_is_float16_rising_and_without_zero(initialisation: str, size: int) -> None:
    codebook = fit_codebook(drawn_weights(), size, initialisation, seed=3)
    assert codebook.dtype == np.float16
    assert 0 < len(codebook) <= size
    assert (np.diff(codebook.astype(np.float64)) > 0).all()
    assert (codebook != 0).all()


def test_pruned_weights_have_no_part_in_the_codebook() -> None:
    weights = np.array([[0.0, 0.0, 0.0, 1.0, 3.0]], dtype=np.float32)
    assert fit_codebook(weights, 1).tolist() == [2.0]


def test_the_seed_counts_where_the_start_is_drawn() -> None:
    weights = drawn_weights()
    assert np.array_equal(fit_codebook(weights, 16, "forgy", 1), fit_codebook(weights, 16, "forgy", 1))
    assert not np.array_equal(fit_codebook(weights, 16, "forgy", 1), fit_codebook(weights, 16, "forgy", 2))


def test_a_layer_of_zeros_has_an_empty_codebook_and_shares_nothing() -> None:
    zeros = np.zeros((4, 3), dtype=np.float32)
    codebook = fit_codebook(zeros, 8)
    assert len(codebook) == 0
    shared = share(zeros, codebook, 0.01)
    assert (shared.nonzeros, shared.shape) == (0, (4, 3))
    assert not shared.to_dense().any()


def test_weights_too_small_for_float16_are_pruned() -> None:
    tiny = np.full((2, 2), 1e-9, dtype=np.float32)
    assert share(tiny, fit_codebook(tiny, 4)).nonzeros == 0
    tiny[0, 0] = 0.5
    shared = exact_codebook(tiny)
    assert shared.positions.tolist() == [0]
    assert shared.codebook.tolist() == [0.5]


def test_without_penalty_each_weight_takes_the_nearest_value_and_zeros_stay_zero() -> None:
    weights = drawn_weights()
    codebook = fit_codebook(weights, 8)
    shared = share(weights, codebook)
    alive = weights != 0
    nearest = codebook.astype(np.float64)[np.abs(weights[..., None] - codebook.astype(np.float64)).argmin(-1)]
    assert np.array_equal(shared.to_dense(), np.where(alive, nearest, 0).astype(np.float32))
    assert np.array_equal(shared.positions, np.flatnonzero(weights))


def test_entries_that_no_weight_takes_are_left_out() -> None:
    weights = np.array([[0.9, 0.0, -1.1]], dtype=np.float32)
    shared = share(weights, np.array([-1.0, 0.25, 1.0, 7.0], dtype=np.float16))
    assert shared.codebook.tolist() == [-1.0, 1.0]
    assert shared.codes.tolist() == [1, 0]


@pytest.mark.parametrize("penalty", [0.002, 0.016, 0.1])
def test_a_penalty_lowers_the_entropy_and_the_cost_that_it_defines(penalty: float) -> None:
    weights = drawn_weights()
    codebook = fit_codebook(weights, 64)
    nearest, cheapest = share(weights, codebook), share(weights, codebook, penalty)
    mean_square = float(np.square(weights[weights != 0].astype(np.float64)).mean())

    def cost(shared: SharedTensor) -> float:
        return mean_square_error(weights, shared) / mean_square + penalty * entropy_bits(shared)

    assert entropy_bits(cheapest) < 0.98 * entropy_bits(nearest)
    assert mean_square_error(weights, cheapest) >= mean_square_error(weights, nearest)
    assert cost(cheapest) < cost(nearest)


def test_a_higher_penalty_spends_fewer_bits() -> None:
    weights = drawn_weights()
    codebook = fit_codebook(weights, 64)
    bits = [entropy_bits(share(weights, codebook, penalty)) for penalty in (0.0, 0.004, 0.03, 0.2)]
    assert bits == sorted(bits, reverse=True)
    assert len(set(bits)) == 4


@pytest.mark.parametrize("penalty", [0.002, 0.1, 1.0])
def test_a_penalty_prunes_no_weight(penalty: float) -> None:
    weights = drawn_weights()
    shared = share(weights, fit_codebook(weights, 16), penalty)
    assert np.array_equal(shared.positions, np.flatnonzero(weights))
    assert frequencies(shared).min() > 0


def test_sharing_does_not_change_the_weights_it_is_given() -> None:
    weights = drawn_weights()
    before = weights.copy()
    share(weights, fit_codebook(weights, 16), 0.01)
    assert np.array_equal(weights, before)


def test_the_exact_codebook_holds_every_value_rounded_to_float16() -> None:
    weights = np.array([[0.1, 0.0, -2.0], [0.1, 3.0, 0.1 + 1e-6]], dtype=np.float32)
    shared = exact_codebook(weights)
    assert shared.codebook.tolist() == [-2.0, float(np.float16(0.1)), 3.0]
    assert np.array_equal(shared.to_dense(), weights.astype(np.float16).astype(np.float32))
    assert np.array_equal(exact_codebook(shared.to_dense()).to_dense(), shared.to_dense())
