import itertools

import pytest
import torch
from torch import nn

from compressor.networks.plain import Airbench, LeNet5, LeNet300, Vgg16


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in network.parameters() if parameter.ndim > 1]


def test_vgg16_has_thirteen_convolutions_of_3x3_and_five_pools() -> None:
    with torch.device("meta"):
        network = Vgg16(10)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    expected = [(after, before, 3, 3) for before, after in itertools.pairwise(widths)]
    assert shapes(network) == [*expected, (10, 512)]
    assert sum(isinstance(module, nn.MaxPool2d) for module in network.modules()) == 5


def test_airbench_has_two_convolutions_a_block_and_its_papers_parameters() -> None:
    network = Airbench(10)
    widths = [24, 64, 64, 256, 256, 256, 256]
    expected = [(after, before, 3, 3) for before, after in itertools.pairwise(widths)]
    assert shapes(network) == [(24, 3, 2, 2), *expected, (10, 256)]
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(1.97e6, rel=0.005)
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_airbenchs_blocks_pass_their_inputs_on_at_first() -> None:
    layer = next(module for module in Airbench(10).modules() if getattr(module, "kernel_size", None) == (3, 3))
    images = torch.rand(2, 24, 7, 7)
    assert torch.equal(layer(images)[:, :24], images)


def test_lenet300_has_the_layers_of_its_name() -> None:
    assert shapes(LeNet300(10)) == [(300, 784), (100, 300), (10, 100)]


def test_lenet300_clips_hidden_units_at_zero() -> None:
    network = LeNet300(10)
    nn.init.constant_(network.ip2.weight, 0.0)
    nn.init.constant_(network.get_parameter("ip2.bias"), -1.0)
    assert torch.equal(network(torch.rand(2, 1, 28, 28)), network.ip3.bias.expand(2, -1))


def test_lenet5_is_caffes() -> None:
    assert shapes(LeNet5(10)) == [(20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500)]


def test_lenet5_has_no_activation_between_its_convolutions() -> None:
    network = LeNet5(10)
    nn.init.zeros_(network.conv1.weight)
    nn.init.constant_(network.get_parameter("conv1.bias"), -1.0)
    nn.init.ones_(network.conv2.weight)
    nn.init.zeros_(network.get_parameter("conv2.bias"))
    hidden = torch.full((1, 800), -500.0)  # 20 channels of 25 pixels of -1
    assert torch.allclose(network(torch.rand(1, 1, 28, 28)), network.ip2(network.ip1(hidden).relu()), rtol=1e-4)
