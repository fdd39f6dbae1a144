"""A residual network as large as those that csrve compresses, with drawn weights: about 10^5 non-zeros."""

import math

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.tensors import FloatTensor, SharedTensor, Tensor

WINDOW = {"pads": (1, 1, 1, 1), "dilations": (1, 1), "group": (1,)}


def pruned(generator: np.random.Generator, shape: tuple[int, ...], density: float, entries: int = 15) -> SharedTensor:
    """Laplacian weights of input channels that matter unequally; the largest are kept and share centroids."""
    strength = np.repeat(generator.lognormal(0, 0.5, shape[1]), math.prod(shape[2:]))
    weights = (generator.laplace(size=(shape[0], len(strength))) * strength).ravel()
    kept = max(1, round(weights.size * density))
    positions = np.sort(np.argpartition(-np.abs(weights), kept - 1)[:kept]).astype(np.int32)
    values = weights[positions]
    codebook, codes = centroids(values, entries)
    return SharedTensor(shape, positions, codes, codebook)


def centroids(values: np.ndarray, entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm from evenly spaced centroids (Han et al. 2016, section 3.2): the codebook and the codes."""
    codebook = np.linspace(values.min(), values.max(), entries)
    for _ in range(20):
        codes = np.abs(values[:, None] - codebook).argmin(1)
        used = np.unique(codes)
        codebook = np.array([values[codes == code].mean() for code in used])
    rounded = np.unique(codebook.astype(np.float16))
    rounded = rounded[rounded != 0]
    return rounded, np.abs(values[:, None] - rounded.astype(np.float64)).argmin(1).astype(np.uint16)


class _Network:
    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.tensors: list[Tensor] = []

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes)

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def vector(self, length: int) -> int:
        return self.tensor(FloatTensor(self.generator.normal(size=length).astype(np.float16)))

    def conv(self, value: int, channels: tuple[int, int], stride: int, name: str, density: float) -> int:
        weight = self.tensor(pruned(self.generator, (channels[1], channels[0], 3, 3), density))
        value = self.add(Node("Conv", (value,), (weight,), {"strides": (stride, stride), **WINDOW}, name))
        scale_and_bias = (self.vector(channels[1]), self.vector(channels[1]))
        return self.add(Node("BatchNormalization", (value,), scale_and_bias, {}, name.replace("conv", "bn")))

    def block(self, value: int, channels: tuple[int, int], name: str, density: float) -> int:
        """Two convolutions, and a shortcut of option A (He et al. 2016)."""
        before, after = channels
        stride = 1 if before == after else 2
        hidden = self.add(Node("Relu", (self.conv(value, channels, stride, f"{name}.conv1", density),)))
        hidden = self.conv(hidden, (after, after), 1, f"{name}.conv2", density)
        if stride == 2:
            side = {32: 32, 64: 16}[before]
            ends = (before, side, side)
            value = self.add(Node("Slice", (value,), (), {"starts": (0, 0, 0), "ends": ends, "steps": (1, 2, 2)}))
            value = self.add(Node("Pad", (value,), (), {"pads": (0, 0, 0, after - before, 0, 0)}))
        return self.add(Node("Relu", (self.add(Node("Add", (hidden, value))),)))


def realistic_bundle(seed: int = 0, density: float = 0.1) -> Bundle:
    """ResNet-20 of twice the width over 32 x 32 pictures."""
    network = _Network(seed)
    value = network.add(Node("Relu", (network.conv(0, (3, 32), 1, "conv1", 0.5),)))
    channels = 32
    for stage, width in enumerate((32, 64, 128)):
        for block in range(3):
            value = network.block(value, (channels, width), f"layer{stage + 1}.{block}", density)
            channels = width
    value = network.add(Node("Flatten", (network.add(Node("GlobalAveragePool", (value,))),)))
    weight = network.tensor(pruned(network.generator, (10, 128), 0.4))
    network.add(Node("Gemm", (value,), (weight, network.vector(10)), {}, "linear"))
    return Bundle(
        "resnet20x2",
        Preprocessing(32, 32, (0.5,) * 3, (0.25,) * 3),
        tuple(f"class {label}" for label in range(10)),
        1_076_000,
        4_310_000,
        Graph(tuple(network.nodes)),
        tuple(network.tensors),
        {"seed": seed},
    )
