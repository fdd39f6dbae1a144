"""What is removed changes nothing, on every kind of network, whatever is empty in it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from compressor.errors import NetworkError
from compressor.networks import build_network, input_shape_of
from compressor.networks.resnet_cifar import CifarResNet, OptionAShortcut
from compressor.pruning.masks import prunable_parameters
from compressor.removal import PurifyRecipe, remove_dead
from compressor.removal.channels import find_classes
from compressor.removal.dead import silence
from compressor.tracing import trace_network


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """BatchNorm as after training: every channel has its own statistics, scale and bias."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) + low)  # type: ignore[union-attr]
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)  # type: ignore
    return network.eval()


def empty_some(network: nn.Module, seed: int, filters: float, channels: float) -> None:
    """Empty a share of the filters and of the channels of every layer but the first and the last."""
    generator = torch.Generator().manual_seed(seed)
    for weight in list(prunable_parameters(network).values())[1:-1]:
        with torch.no_grad():
            weight[torch.rand(weight.shape[0], generator=generator) < filters] = 0
            weight[:, torch.rand(weight.shape[1], generator=generator) < channels] = 0


@torch.no_grad()
def logits_of(network: nn.Module, shape: tuple[int, int, int]) -> Tensor:
    logits: Tensor = network(torch.randn(3, *shape, generator=torch.Generator().manual_seed(1)))
    return logits


def silenced(network: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    quiet = copy.deepcopy(network)
    traced = trace_network(quiet, shape)
    silence(quiet, find_classes(traced.graph, [tensor.shape for tensor in traced.tensors], shape))
    return quiet


@pytest.mark.parametrize(
    "name", ["resnet20", "resnet18", pytest.param("resnet50", marks=pytest.mark.slow), "vgg16", "lenet5", "lenet300"]
)
def test_removal_is_exact_on_every_kind_of_network(name: str) -> None:
    shape = input_shape_of(name)
    network = lively(build_network(name, 10))
    empty_some(network, 0, 0.4, 0.2)
    before = copy.deepcopy(network.state_dict())
    smaller, removed = remove_dead(network, shape)
    assert removed.filters > 0
    assert (
        sum(p.numel() for p in smaller.parameters())
        == sum(p.numel() for p in network.parameters()) - removed.parameters
    )
    expected = logits_of(silenced(network, shape), shape)
    torch.testing.assert_close(logits_of(smaller, shape), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())  # left as it was


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.9, 1.0]), st.sampled_from([0.0, 0.3, 0.9]))
def test_removal_is_exact_whatever_is_empty(seed: int, filters: float, channels: float) -> None:
    network = lively(CifarResNet(8), seed)
    empty_some(network, seed, filters, channels)
    smaller, _ = remove_dead(network, (3, 32, 32))
    expected = logits_of(silenced(network, (3, 32, 32)), (3, 32, 32))
    torch.testing.assert_close(logits_of(smaller, (3, 32, 32)), expected, rtol=1e-4, atol=1e-4)


def test_a_filter_inside_a_block_goes_on_both_sides() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        network.layer1[0].conv1.weight[:7] = 0
    smaller, removed = remove_dead(network, (3, 32, 32))
    block = smaller.get_submodule("layer1.0")
    assert (block.conv1.weight.shape, block.conv2.weight.shape) == ((9, 16, 3, 3), (16, 9, 3, 3))
    assert (block.conv1.out_channels, block.bn1.num_features, block.conv2.in_channels) == (9, 9, 9)
    assert removed.filters == 7
    assert removed.parameters == 7 * (16 * 9 + 16 * 9 + 2)


def test_a_channel_that_is_written_but_never_read_takes_its_filter_with_it() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        network.layer2[0].conv2.weight[:, 3] = 0
    smaller, removed = remove_dead(network, (3, 32, 32))
    assert smaller.get_submodule("layer2.0.conv1").out_channels == 31
    assert (removed.filters, removed.silenced) == (1, 0)


def test_a_channel_of_the_stream_stays_while_one_block_writes_it() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        network.layer3[0].conv2.weight[0] = 0
    assert remove_dead(network, (3, 32, 32))[1].filters == 1  # zeros of the shortcut's padding do not write
    with torch.no_grad():
        network.layer3[0].conv2.weight[20] = 0
    assert remove_dead(network, (3, 32, 32))[1].filters == 1  # the shortcut brings it from the second stage


def test_a_channel_of_the_stream_goes_through_all_stages_once_nobody_writes_it() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        network.conv1.weight[2] = 0
        network.layer1[0].conv2.weight[2] = 0
        network.layer2[0].conv2.weight[2 + 8] = 0
        network.layer3[0].conv2.weight[2 + 8 + 16] = 0
    smaller, removed = remove_dead(network, (3, 32, 32))
    assert removed.filters == 4
    assert smaller.get_submodule("linear").in_features == 63
    shortcuts = [module for module in smaller.modules() if isinstance(module, OptionAShortcut)]
    assert [shortcut.padding[4:] for shortcut in shortcuts] == [(8, 8), (16, 16)]


def test_what_follows_from_a_removal_goes_too() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 1, bias=False), nn.Conv2d(4, 3, 1, bias=False), nn.Conv2d(3, 5, 1, bias=False)
    )
    network = nn.Sequential(network, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)).eval()
    with torch.no_grad():
        network[0][2].weight[:, 1] = 0  # so the second layer's filter 1 is unread,
        network[0][1].weight[[0, 2], 3] = 0  # and the first's filter 3, which only that one reads
    smaller, removed = remove_dead(network, (1, 4, 4))
    assert removed.filters == 2
    assert [smaller[0][index].weight.shape[:2] for index in range(3)] == [(3, 1), (2, 3), (5, 2)]  # type: ignore[index]


def test_a_linear_layer_loses_every_pixel_of_a_channel() -> None:
    network = build_network("lenet5", 10).eval()
    with torch.no_grad():
        network.conv2.weight[4] = 0
        network.conv2.bias[4] = 0
    smaller, removed = remove_dead(network, (1, 28, 28))
    pixels = network.ip1.in_features // network.conv2.out_channels
    assert smaller.get_submodule("ip1").in_features == network.ip1.in_features - pixels
    assert removed.filters == 1


def test_every_layer_keeps_something() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        network.layer1[0].conv1.weight.zero_()
    smaller, _ = remove_dead(network, (3, 32, 32))
    assert smaller.get_submodule("layer1.0.conv1").out_channels == 1


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.each = nn.Conv2d(3, 6, 1, bias=False), nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False)
        self.grouped, self.narrow = nn.Conv2d(6, 4, 1, groups=2, bias=False), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.grouped(self.each(self.wide(images)).relu())
        return self.narrow(hidden.sigmoid().mean((2, 3)))


def test_depthwise_layers_shrink_and_grouped_ones_stay() -> None:
    network = Depthwise().eval()
    with torch.no_grad():
        network.wide.weight[2] = 0
        network.grouped.weight[1] = 0
    smaller, removed = remove_dead(network, (3, 8, 8))
    assert removed.filters == 0  # the grouped layer reads six
    free = nn.Sequential(network.wide, network.each, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)).eval()
    smaller, removed = remove_dead(free, (3, 8, 8))
    assert (removed.filters, smaller[1].groups, smaller[1].weight.shape[0]) == (2, 5, 5)  # type: ignore[index]


class Stubborn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 6, 1, bias=False), nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.conv(images)[:, :6] if self.conv.out_channels == 6 else self.conv(images)[:, :4]
        logits: Tensor = self.linear(torch.flatten(functional.adaptive_avg_pool2d(hidden, 1), 1))
        return logits


def test_a_network_that_insists_on_its_sizes_is_refused() -> None:
    network = Stubborn().eval()
    with torch.no_grad():
        network.conv.weight[2] = 0
    with pytest.raises(NetworkError, match="removal: the network's forward needs its old sizes"):
        remove_dead(network, (3, 8, 8))


def test_purification_empties_columns_then_channels_then_filters() -> None:
    network = lively(CifarResNet(8))
    with torch.no_grad():
        weight = network.layer1[0].conv2.weight
        weight[:, 0] = 1e-4  # weak columns, all of them: the channel goes, and the filter that wrote it
        weight[5] = 1e-3
    smaller, removed = remove_dead(network, (3, 32, 32), PurifyRecipe(0.01, 0.5, 0.3, 0.05))
    assert smaller.get_submodule("layer1.0.conv1").out_channels == 15
    assert int(smaller.get_submodule("layer1.0.conv2").weight[5].count_nonzero()) == 0
    assert removed.purified == 16 * 9 + 15 * 9
    _, removed = remove_dead(network, (3, 32, 32), PurifyRecipe(0.0, 1.0, 0.0, 0.0))
    assert removed.purified == 0
