import pytest
import torch
from torch import nn

from compressor.networks.resnet_cifar import BasicBlock, CifarResNet, OptionAShortcut


def test_an_option_a_shortcut_takes_every_second_pixel_and_adds_zero_channels_on_both_sides() -> None:
    images = torch.arange(1.0, 2 * 16 * 6 * 6 + 1).view(2, 16, 6, 6)
    shortcut = OptionAShortcut(16)(images)
    assert shortcut.shape == (2, 32, 3, 3)
    assert torch.equal(shortcut[:, 8:24], images[:, :, ::2, ::2])
    assert not shortcut[:, :8].any()
    assert not shortcut[:, 24:].any()
    assert not list(OptionAShortcut(16).parameters())


def test_an_odd_number_of_added_channels_puts_the_odd_one_last() -> None:
    shortcut = OptionAShortcut(3)(torch.ones(1, 2, 2, 2))
    assert shortcut[0, :, 0, 0].tolist() == [0, 1, 1, 0, 0]


def test_a_block_of_zero_weights_is_its_shortcut() -> None:
    block = BasicBlock(4, 8, 2).eval()
    for convolution in (block.conv1, block.conv2):
        nn.init.zeros_(convolution.weight)
    images = torch.rand(1, 4, 6, 6)
    assert torch.equal(block(images)[:, 2:6], images[:, :, ::2, ::2])


@pytest.mark.parametrize(("depth", "layers"), [(20, 20), (56, 56), (110, 110)])
def test_the_depth_counts_convolutions_and_the_classifier(depth: int, layers: int) -> None:
    with torch.device("meta"):
        network = CifarResNet(depth)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules()) == layers


def test_the_stages_halve_the_picture_twice() -> None:
    with torch.device("meta"):
        network = CifarResNet(20).eval()
        hidden = network.layer1(torch.zeros(1, 16, 32, 32))
        assert hidden.shape == (1, 16, 32, 32)
        hidden = network.layer2(hidden)
        assert hidden.shape == (1, 32, 16, 16)
        assert network.layer3(hidden).shape == (1, 64, 8, 8)
