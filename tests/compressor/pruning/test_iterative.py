"""The rounds of a pruning recipe."""

import numpy as np
import pytest
import torch

from compressor.pruning.iterative import pruning_rounds
from compressor.pruning.magnitude import CubicSchedule, GradualPruning
from compressor.pruning.masks import FixedMasks, nonzero_masks, prunable_parameters, sparsity_of
from compressor.pruning.recipe import PruneRecipe
from compressor.pruning.scores import SCORES
from compressor.pruning.threshold import threshold_masks
from compressor.training.constraint import Unconstrained
from tests.compressor.blobs import TINY_SAMPLES, same_state, tiny_network

THRESHOLD = PruneRecipe(method="threshold", quality=(("first", 0.3), ("*", 1.2)), rounds=3)


def test_gradual_pruning_is_one_round_with_the_recipes_schedule() -> None:
    floors = (("first", 0.5), ("*", 0.1))
    recipe = PruneRecipe(sparsity=0.6, begin=0.1, end=0.7, refresh_steps=7, score="lamp", floors=floors, rounds=5)
    (only,) = pruning_rounds(recipe)
    network = tiny_network()
    constraint = only.begin(network, TINY_SAMPLES)
    assert only.name == "prune"
    assert isinstance(constraint, GradualPruning)
    assert constraint.schedule == CubicSchedule(0.6, 0.1, 0.7)
    assert (constraint.refresh_steps, constraint.score) == (7, SCORES["lamp"])
    assert constraint.floors == {"conv1.weight": 0.5, "conv2.weight": 0.1, "linear.weight": 0.1}
    assert same_state(network, tiny_network()), "nothing is pruned yet"


def test_no_pruning_is_one_plain_round() -> None:
    (only,) = pruning_rounds(PruneRecipe(method="none"))
    network = tiny_network()
    assert only.name == "retrain"
    assert isinstance(only.begin(network, TINY_SAMPLES), Unconstrained)
    assert same_state(network, tiny_network())


def test_threshold_pruning_has_as_many_rounds_as_asked_for_with_rising_quality() -> None:
    rounds = list(pruning_rounds(THRESHOLD))
    assert [(each.name, each.quality_scale) for each in rounds] == [
        ("prune-1", 1 / 3),
        ("prune-2", 2 / 3),
        ("prune-3", 1.0),
    ]


def test_a_threshold_round_prunes_at_once_and_keeps_the_other_values() -> None:
    (only,) = pruning_rounds(PruneRecipe(method="threshold", quality=THRESHOLD.quality))
    network, dense = tiny_network(), tiny_network()
    expected = threshold_masks(dense, THRESHOLD.quality)
    constraint = only.begin(network, TINY_SAMPLES)
    assert isinstance(constraint, FixedMasks)
    for name, weight in prunable_parameters(network).items():
        assert torch.equal(constraint.masks[name], expected[name])
        assert torch.equal(weight, prunable_parameters(dense)[name] * expected[name])
    assert 0.3 < sparsity_of(expected) < 0.9


def test_every_round_prunes_more_and_revives_nothing() -> None:
    network = tiny_network()
    masks = nonzero_masks(network)
    sparsities = [sparsity_of(masks)]
    for each in pruning_rounds(THRESHOLD):
        each.begin(network, TINY_SAMPLES)
        after = nonzero_masks(network)
        assert not any((after[name] & ~masks[name]).any() for name in masks)
        masks = after
        sparsities.append(sparsity_of(masks))
    assert bool(np.all(np.diff(sparsities) > 0.02))


@pytest.mark.parametrize(
    ("score", "pixels"),
    [("bytes", {}), ("macs", {"conv1.weight": 64, "conv2.weight": 16, "linear.weight": 1})],
)
def test_only_a_score_per_operation_looks_at_output_pixels(score: str, pixels: dict[str, int]) -> None:
    (only,) = pruning_rounds(PruneRecipe(sparsity=0.6, score=score))
    constraint = only.begin(tiny_network(), TINY_SAMPLES)
    assert isinstance(constraint, GradualPruning)
    assert constraint.pixels == pixels
