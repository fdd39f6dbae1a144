"""Scores by their definitions, and masks that keep exactly as many weights as asked for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from compressor.pruning.costs import coded_bits
from compressor.pruning.scores import SCORES, lamp_scores, magnitude_scores, masks_by_score

SHAPES = {"first": (4, 3, 3, 3), "middle": (40, 30), "last": (5, 8)}
NO_FLOORS = dict.fromkeys(SHAPES, 0.0)


def drawn_scores(seed: int = 0) -> dict[str, torch.Tensor]:
    """Distinct scores: a shuffled range, layer by layer at different scales."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}


def kept_of(masks: dict[str, torch.Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def test_the_magnitude_score_is_the_absolute_value() -> None:
    weight = torch.nn.Parameter(torch.tensor([[-2.0, 0.5], [0.0, 1.0]]))
    assert magnitude_scores(weight).tolist() == [[2.0, 0.5], [0.0, 1.0]]
    assert not magnitude_scores(weight).requires_grad


def test_the_lamp_score_is_the_square_over_the_sum_of_squares_not_smaller() -> None:
    weight = np.random.default_rng(3).normal(size=(7, 4, 3, 3)).astype(np.float32)
    squares = weight.astype(np.float64) ** 2
    expected = [value / squares[squares >= value].sum() for value in squares.ravel()]
    scores = lamp_scores(torch.from_numpy(weight))
    assert scores.shape == weight.shape
    assert scores.dtype == torch.float32
    np.testing.assert_allclose(scores.numpy().ravel(), expected, rtol=1e-6)


def test_the_lamp_score_of_the_largest_weight_is_1_whatever_the_scale_of_its_layer() -> None:
    for scale in (1e-20, 1.0, 1e10):
        weight = torch.tensor([[0.5, -3.0], [1.0, 0.0]]) * scale
        assert lamp_scores(weight)[0, 1] == 1
        assert lamp_scores(weight)[1, 1] == 0


def test_the_lamp_scores_of_a_layer_of_zeros_are_0() -> None:
    assert lamp_scores(torch.zeros(3, 2)).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize(("name", "importance"), [("magnitude", magnitude_scores), ("lamp", lamp_scores)])
def test_scores_without_a_price_are_the_importance(
    name: str, importance: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    weight = torch.tensor([[0.5, -3.0], [1.0, 0.0]])
    assert torch.equal(SCORES[name].of(weight, 0.1, 64), importance(weight))
    assert not SCORES[name].wants_pixels


def test_the_score_per_byte_is_the_magnitude_over_the_bits_at_the_layers_density_whatever_its_pixels() -> None:
    weight = torch.tensor([[0.5, -3.0], [1.0, 0.0]])
    for density in (0.01, 0.2, 1.0):
        expected = weight.abs() / coded_bits(density)
        assert torch.equal(SCORES["bytes"].of(weight, density, 64), expected)
    assert not SCORES["bytes"].wants_pixels


def test_the_score_per_operation_is_the_magnitude_over_the_output_pixels_whatever_the_density() -> None:
    weight = torch.tensor([[0.5, -3.0], [1.0, 0.0]])
    for density in (0.01, 0.2, 1.0):
        assert torch.equal(SCORES["macs"].of(weight, density, 64), weight.abs() / 64)
    assert SCORES["macs"].wants_pixels


def test_scores_are_these_four() -> None:
    assert sorted(SCORES) == ["bytes", "lamp", "macs", "magnitude"]


@pytest.mark.parametrize("sparsity", [0.0, 0.001, 0.1, 1 / 3, 0.5, 0.777, 0.95, 0.99])
def test_the_global_sparsity_is_hit_within_one_weight(sparsity: float) -> None:
    scores = drawn_scores()
    total = sum(score.numel() for score in scores.values())
    kept = kept_of(masks_by_score(scores, sparsity, NO_FLOORS))
    assert abs(kept - (1 - sparsity) * total) <= 1


def test_without_floors_the_best_weights_of_the_whole_network_stay() -> None:
    scores = drawn_scores()
    masks = masks_by_score(scores, 0.8, NO_FLOORS)
    kept = torch.cat([scores[name][masks[name]] for name in SHAPES])
    gone = torch.cat([scores[name][~masks[name]] for name in SHAPES])
    assert kept.min() > gone.max()


def test_equal_scores_do_not_cost_more_weights_than_asked_for() -> None:
    scores = {"shared": torch.full((20, 5), 0.25), "other": torch.full((10, 10), 0.5)}
    masks = masks_by_score(scores, 0.75, dict.fromkeys(scores, 0.0))
    assert kept_of(masks) == 50
    assert masks["other"].sum() >= 49  # and one of the other tensor, which is never emptied


def test_each_layer_keeps_its_floor_and_the_sparsity_is_still_exact() -> None:
    scores = drawn_scores()
    scores["middle"] += 1  # would take all that stays
    floors = {"first": 0.5, "middle": 0.02, "last": 0.25}
    masks = masks_by_score(scores, 0.9, floors)
    assert int(masks["first"].sum()) == 54
    assert int(masks["last"].sum()) == 10
    assert kept_of(masks) == round(0.1 * (108 + 1200 + 40))


def test_a_floor_keeps_the_best_weights_of_its_layer() -> None:
    scores = drawn_scores()
    scores["middle"] += 1
    masks = masks_by_score(scores, 0.9, {**NO_FLOORS, "first": 0.5})
    assert scores["first"][masks["first"]].min() > scores["first"][~masks["first"]].max()


def test_no_layer_is_emptied() -> None:
    scores = drawn_scores()
    scores["first"] -= 2
    masks = masks_by_score(scores, 0.99, NO_FLOORS)
    assert int(masks["first"].sum()) == 1
    assert bool(masks["first"].flatten()[scores["first"].argmax()])


def test_floors_above_the_sparsity_win() -> None:
    scores = drawn_scores()
    masks = masks_by_score(scores, 0.99, dict.fromkeys(SHAPES, 0.5))
    assert [int(masks[name].sum()) for name in SHAPES] == [54, 600, 20]
