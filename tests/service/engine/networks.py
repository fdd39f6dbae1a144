"""Whole networks with random sparse weights, built node by node: no training, no torch."""

from collections.abc import Callable

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Node
from model_store.tensors import FloatTensor, SharedTensor, Tensor
from tests.service.bundles import CONV, bundle_of

_LEVELS = np.array([-1.25, -1.0, -0.75, -0.5, 0.5, 0.75, 1.0, 1.25])


class _Builder:
    """Nodes and tensors in order. Weights keep the variance of what flows through, whatever their density."""

    def __init__(self, density: float, seed: int) -> None:
        self.density = density
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.tensors: list[Tensor] = []

    def node(self, operator: str, *values: int, **attributes: tuple[int, ...]) -> int:
        self.nodes.append(Node(operator, values, (), attributes))
        return len(self.nodes)

    def _named(self, operator: str, value: int, tensors: list[Tensor], attributes: dict[str, tuple[int, ...]]) -> int:
        first = len(self.tensors)
        self.tensors += tensors
        numbers = tuple(range(first, first + len(tensors)))
        self.nodes.append(Node(operator, (value,), numbers, attributes, f"layer{len(self.nodes)}"))
        return len(self.nodes)

    def _weight(self, *shape: int) -> SharedTensor:
        elements = int(np.prod(shape))
        positions = np.flatnonzero(self.random.random(elements) < self.density).astype(np.int32)
        codebook = (_LEVELS * np.sqrt(2 / (elements / shape[0] * self.density))).astype(np.float16)
        codes = self.random.integers(0, len(codebook), len(positions)).astype(np.uint16)
        return SharedTensor(shape, positions, codes, codebook)

    def _floats(self, channels: int, low: float, high: float) -> FloatTensor:
        return FloatTensor(self.random.uniform(low, high, channels).astype(np.float16))

    def conv(self, value: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> int:
        """A convolution with its normalization."""
        pad = kernel // 2
        window = {**CONV, "strides": (stride, stride), "pads": (pad, pad, pad, pad)}
        made = self._named("Conv", value, [self._weight(outputs, inputs, kernel, kernel)], window)
        scale_and_bias: list[Tensor] = [self._floats(outputs, 0.5, 1), self._floats(outputs, -0.1, 0.1)]
        return self._named("BatchNormalization", made, scale_and_bias, {})

    def classify(self, value: int, features: int) -> Bundle:
        pooled = self.node("Flatten", self.node("GlobalAveragePool", value))
        self._named("Gemm", pooled, [self._weight(10, features), self._floats(10, -0.1, 0.1)], {})
        return bundle_of(self.nodes, self.tensors, (3, 32, 32))


def resnet20(density: float = 0.2, seed: int = 0) -> Bundle:
    """He et al. 2016, for CIFAR-10: shortcuts without weights (option A) slice and pad."""
    builder = _Builder(density, seed)
    value, width = builder.node("Relu", builder.conv(0, 3, 16)), 16
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            hidden = builder.node("Relu", builder.conv(value, width, channels, stride=stride))
            hidden = builder.conv(hidden, channels, channels)
            if stride == 2:
                side = 64 >> stage
                value = builder.node("Slice", value, starts=(0, 0, 0), ends=(width, side, side), steps=(1, 2, 2))
                value = builder.node("Pad", value, pads=(width // 2, 0, 0, width // 2, 0, 0))
            value, width = builder.node("Relu", builder.node("Add", hidden, value)), channels
    return builder.classify(value, 64)


def resnet18(density: float = 0.05, seed: int = 0) -> Bundle:
    """The wide-stem ResNet-18: shortcuts are convolutions of 1 x 1."""
    builder = _Builder(density, seed)
    value, width = builder.node("Relu", builder.conv(0, 3, 64)), 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            hidden = builder.node("Relu", builder.conv(value, width, channels, stride=stride))
            hidden = builder.conv(hidden, channels, channels)
            shortcut = builder.conv(value, width, channels, kernel=1, stride=2) if stride == 2 else value
            value, width = builder.node("Relu", builder.node("Add", hidden, shortcut)), channels
    return builder.classify(value, 512)


def vgg11(density: float = 0.05, seed: int = 0) -> Bundle:
    """VGG with pooling by maximum between its convolutions."""
    builder = _Builder(density, seed)
    value, width = 0, 3
    for channels, pool in ((64, 1), (128, 1), (256, 0), (256, 1), (512, 0), (512, 1), (512, 0), (512, 1)):
        value, width = builder.node("Relu", builder.conv(value, width, channels)), channels
        if pool:
            value = builder.node("MaxPool", value, kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    return builder.classify(value, 512)


NETWORKS: dict[str, Callable[[], Bundle]] = {"resnet20": resnet20, "resnet18": resnet18, "vgg11": vgg11}
