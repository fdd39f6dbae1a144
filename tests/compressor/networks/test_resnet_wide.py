import pytest
import torch
from torch import nn

from compressor.networks.resnet_wide import BLOCKS, Bottleneck, WideStemResNet


@pytest.mark.parametrize("depth", BLOCKS)
def test_the_depth_counts_layers_without_projections(depth: int) -> None:
    with torch.device("meta"):
        network = WideStemResNet(depth)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert sum("shortcut" not in name for name in layers) == depth


def test_the_stem_keeps_the_size_of_the_picture_and_three_stages_halve_it() -> None:
    with torch.device("meta"):
        network = WideStemResNet(50).eval()
        hidden = network.conv1(torch.zeros(1, 3, 32, 32))
        sizes = [tuple(hidden.shape[1:])]
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            hidden = stage(hidden)
            sizes.append(tuple(hidden.shape[1:]))
    assert sizes == [(64, 32, 32), (256, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4)]


def test_only_blocks_that_change_the_shape_project_their_shortcut() -> None:
    with torch.device("meta"):
        network = WideStemResNet(18)
    names = [name for name, _ in network.named_parameters() if "shortcut" in name and name.endswith("0.weight")]
    assert names == [f"layer{stage}.0.shortcut.0.weight" for stage in (2, 3, 4)]


def test_a_bottleneck_of_zero_weights_is_its_shortcut() -> None:
    block = Bottleneck(16, 4, 1).eval()
    for convolution in (block.conv1, block.conv2, block.conv3):
        nn.init.zeros_(convolution.weight)
    images = torch.rand(2, 16, 5, 5)
    assert torch.equal(block(images), images)
