"""Prices of a weight: bits by its layer's density, operations by its layer's output."""

import pytest
import torch
from torch import Tensor, nn

from compressor.networks import build_network
from compressor.pruning.costs import VALUE_BITS, coded_bits, output_pixels
from tests.compressor.blobs import tiny_network


@pytest.mark.parametrize(("density", "index_bits"), [(0.1, 4.69), (0.05, 5.73), (0.02, 7.07), (0.01, 8.08), (0.5, 2.0)])
def test_an_index_costs_its_share_of_the_entropy(density: float, index_bits: float) -> None:
    assert coded_bits(density) - VALUE_BITS == pytest.approx(index_bits, abs=0.005)


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_where_all_or_none_are_left_only_the_value_costs(density: float) -> None:
    assert coded_bits(density) == VALUE_BITS


def test_the_sparser_a_layer_the_dearer_a_weight() -> None:
    prices = [coded_bits(density) for density in (0.9, 0.5, 0.1, 0.01, 0.001)]
    assert prices == sorted(prices)


def test_output_pixels_are_the_sides_of_a_convolutions_output_and_1_for_a_linear_layer() -> None:
    assert output_pixels(tiny_network(), (1, 8, 8)) == {"conv1.weight": 64, "conv2.weight": 16, "linear.weight": 1}


def test_strides_count() -> None:
    pixels = output_pixels(build_network("resnet20", 10), (3, 32, 32))
    assert (pixels["conv1.weight"], pixels["layer2.0.conv1.weight"], pixels["layer3.2.conv2.weight"]) == (1024, 256, 64)


def test_a_layer_that_is_used_twice_multiplies_at_the_pixels_of_both() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.linear = nn.Linear(16, 2)

        def forward(self, images: Tensor) -> Tensor:
            hidden = nn.functional.max_pool2d(self.conv(images), 2)
            return self.linear(torch.flatten(self.conv(hidden), 1))

    assert output_pixels(Twice(), (1, 8, 8)) == {"conv.weight": 64 + 16, "linear.weight": 1}
