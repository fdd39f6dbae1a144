"""The wide-stem ResNet-18/34/50/101/152 used on CIFAR-10: He et al. 2016 with a 3x3 stem of stride 1 and no pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the shape changes (option B)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(images)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(images))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 to four times the width, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * 4)
        self.shortcut = _shortcut(in_channels, channels * 4, stride)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(images)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        return functional.relu(self.bn3(self.conv3(hidden)) + self.shortcut(images))


class WideStemResNet(nn.Module):
    """Four stages at 64, 128, 256 and 512 channels; basic blocks below 50 layers, bottlenecks from there."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        in_channels = 64
        for stage, (blocks, channels) in enumerate(zip(BLOCKS[depth], (64, 128, 256, 512), strict=True), start=1):
            layers = []
            for index in range(blocks):
                layers.append(block(in_channels, channels, 2 if stage > 1 and index == 0 else 1))
                in_channels = channels * block.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.linear = nn.Linear(in_channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(images)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        return self.linear(torch.flatten(functional.adaptive_avg_pool2d(hidden, 1), 1))


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
