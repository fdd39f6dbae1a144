"""Thresholds of quality times standard deviation, against numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from compressor.pruning.masks import prunable_parameters
from compressor.pruning.threshold import threshold_mask, threshold_masks
from tests.compressor.blobs import tiny_network


def drawn_weight(seed: int = 0) -> Tensor:
    """Normal, a third of it pruned already."""
    random = np.random.default_rng(seed)
    weight = random.normal(0.1, 0.3, (12, 5, 3, 3)) * (random.random((12, 5, 3, 3)) > 1 / 3)
    return torch.from_numpy(weight.astype(np.float32))


@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0, 1.7])
def test_what_stays_is_at_least_quality_times_the_deviation_of_the_surviving_weights(quality: float) -> None:
    weight = drawn_weight()
    numbers = weight.numpy().astype(np.float64)
    expected = (np.abs(numbers) >= quality * np.std(numbers[numbers != 0])) & (numbers != 0)
    assert np.array_equal(threshold_mask(weight, quality).numpy(), expected)
    assert 0 < expected.mean() < 0.7


def test_a_weight_exactly_at_the_border_stays() -> None:
    weight = torch.tensor([1.0, -1.0, 1.0, -1.0])  # standard deviation 1
    assert threshold_mask(weight, 1.0).tolist() == [True] * 4


def test_the_largest_weight_survives_any_quality() -> None:
    weight = drawn_weight()
    mask = threshold_mask(weight, 100.0)
    assert int(mask.sum()) == 1
    assert mask.flatten()[weight.abs().argmax()]


def test_a_layer_of_zeros_keeps_none() -> None:
    assert not threshold_mask(torch.zeros(3, 4), 0.0).any()


def test_each_layer_has_its_own_quality_times_the_scale() -> None:
    network = tiny_network()
    masks = threshold_masks(network, (("first", 0.2), ("last", 0.4), ("*", 1.0)), 0.5)
    assert list(masks) == ["conv1.weight", "conv2.weight", "linear.weight"]
    for (name, weight), quality in zip(prunable_parameters(network).items(), (0.1, 0.5, 0.2), strict=True):
        assert torch.equal(masks[name], threshold_mask(weight, quality))
        assert not torch.equal(masks[name], threshold_mask(weight, 2 * quality))
