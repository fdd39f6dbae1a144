"""Networks of a known sparsity with drawn weights, for measuring where no trained one is at hand.

The wide-stem ResNet-18 for pictures of 32 x 32 (He et al. 2016, the stem 3 x 3 with stride 1 and no pooling) has
11,173,962 parameters and 555.4 million multiply-adds. What pruning by magnitude leaves of Laplacian weights is drawn: a
tail beyond a threshold on both sides of zero, which shares the centroids of k-means. Weights are scaled so that
activations keep their size (He et al. 2015), whatever the density.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.tensors import FloatTensor, SharedTensor, Tensor

_STAGE_CHANNELS = (64, 128, 256, 512)
_BLOCKS = 2
_CLASSES = 10
_CODEBOOK_ENTRIES = 32
_LLOYD_STEPS = 60
_NORMALIZATION_VECTORS = 4  # weight, bias, mean and variance of the dense network's state_dict


@dataclass(frozen=True, slots=True)
class Profile:
    """The share of weights that is left, layer by layer.

    Attributes:
        stages: of the 3 x 3 convolutions of each stage.
    """

    stem: float
    stages: tuple[float, float, float, float]
    shortcuts: float
    classifier: float

    def __post_init__(self) -> None:
        for density in (self.stem, *self.stages, self.shortcuts, self.classifier):
            if not 0 < density <= 1:
                raise ValueError(f"profile: density {density}, must be in (0, 1]")


PROFILES: Mapping[str, Profile] = {
    # 5% in all, with more left in early layers, as pruning by one magnitude for the whole network leaves it
    "sparse95": Profile(stem=0.6, stages=(0.25, 0.13, 0.075, 0.033), shortcuts=0.15, classifier=0.3),
    "uniform95": Profile(stem=0.05, stages=(0.05, 0.05, 0.05, 0.05), shortcuts=0.05, classifier=0.05),
}


def synthetic_bundle(name: str, seed: int = 0) -> Bundle:
    """A ResNet-18 with the density profile of that name. The same seed always gives the same bundle."""
    network = _Network(PROFILES[name], seed)
    value = network.relu(network.convolution(0, 3, 64, 3, 1, "conv1", network.profile.stem))
    channels = 64
    for stage, (width, density) in enumerate(zip(_STAGE_CHANNELS, network.profile.stages, strict=True), start=1):
        for block in range(_BLOCKS):
            stride = 2 if stage > 1 and not block else 1
            value = network.block(value, (channels, width), stride, f"layer{stage}.{block}", density)
            channels = width
    return network.classify(value, channels, f"resnet18-{name}", {"synthetic": name, "seed": seed})


class _Network:
    """Nodes and tensors in the order of execution, and the size of the dense network that they stand for."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self._random = np.random.default_rng(seed)
        self._nodes: list[Node] = []
        self._tensors: list[Tensor] = []
        self._parameters = 0
        self._dense_floats = 0

    def relu(self, value: int) -> int:
        return self._add(Node("Relu", (value,)))

    def block(self, value: int, channels: tuple[int, int], stride: int, name: str, density: float) -> int:
        """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution where the shape changes."""
        before, after = channels
        hidden = self.relu(self.convolution(value, before, after, 3, stride, f"{name}.conv1", density))
        hidden = self.convolution(hidden, after, after, 3, 1, f"{name}.conv2", density)
        if before != after:
            value = self.convolution(value, before, after, 1, stride, f"{name}.shortcut", self.profile.shortcuts)
        return self.relu(self._add(Node("Add", (hidden, value))))

    def convolution(
        self, value: int, inputs: int, outputs: int, kernel: int, stride: int, name: str, density: float
    ) -> int:
        """A convolution with its normalization."""
        pad = kernel // 2
        window = {"strides": (stride, stride), "pads": (pad,) * 4, "dilations": (1, 1), "group": (1,)}
        weight = self._tensor(self._weight((outputs, inputs, kernel, kernel), density))
        value = self._add(Node("Conv", (value,), (weight,), window, name))
        scale_and_bias = (self._vector(outputs, 1.0), self._vector(outputs, 0.0))
        self._dense_floats += (_NORMALIZATION_VECTORS - 2) * outputs
        return self._add(Node("BatchNormalization", (value,), scale_and_bias, {}, f"{name}.bn"))

    def classify(self, value: int, channels: int, architecture: str, provenance: dict[str, object]) -> Bundle:
        value = self._add(Node("Flatten", (self._add(Node("GlobalAveragePool", (value,))),)))
        weight = self._tensor(self._weight((_CLASSES, channels), self.profile.classifier))
        self._add(Node("Gemm", (value,), (weight, self._vector(_CLASSES, 0.0)), {}, "linear"))
        return Bundle(
            architecture,
            Preprocessing(32, 32, (0.5,) * 3, (0.25,) * 3),
            tuple(f"class {label}" for label in range(_CLASSES)),
            self._parameters,
            4 * (self._parameters + self._dense_floats),
            Graph(tuple(self._nodes)),
            tuple(self._tensors),
            provenance,
        )

    def _add(self, node: Node) -> int:
        self._nodes.append(node)
        return len(self._nodes)

    def _tensor(self, tensor: Tensor) -> int:
        self._tensors.append(tensor)
        self._parameters += math.prod(tensor.shape)
        return len(self._tensors) - 1

    def _vector(self, length: int, mean: float) -> int:
        return self._tensor(FloatTensor(self._random.normal(mean, 0.1, length).astype(np.float16)))

    def _weight(self, shape: tuple[int, ...], density: float) -> SharedTensor:
        elements = math.prod(shape)
        count = round(density * elements)
        positions = np.sort(np.argpartition(self._random.random(elements), count - 1)[:count]).astype(np.int32)
        # Laplacian weights of mean size 1 whose size passes -log(density): that share of them does.
        sizes = self._random.exponential(size=count) - math.log(density)
        values = sizes * self._random.choice((-1.0, 1.0), count)
        gain = math.sqrt(2 * shape[0] / np.square(values).sum())
        codebook, codes = _share(values * gain)
        return SharedTensor(shape, positions, codes, codebook)


def _share(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codebook float16 and codes uint16 by k-means from equally spaced centroids (Han et al. 2016, section 3.2).

    Centroids that lose all their values, as those near zero do, are dropped.
    """
    ordered = np.sort(values)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    centroids = np.linspace(ordered[0], ordered[-1], _CODEBOOK_ENTRIES)
    for _ in range(_LLOYD_STEPS):
        borders = np.searchsorted(ordered, (centroids[:-1] + centroids[1:]) / 2)
        bounds = np.concatenate(([0], borders, [len(ordered)]))
        counts = np.diff(bounds)
        centroids = np.diff(sums[bounds])[counts > 0] / counts[counts > 0]
    codebook = np.unique(centroids.astype(np.float16))
    codebook = codebook[codebook != 0]
    exact = codebook.astype(np.float64)
    codes = np.searchsorted((exact[:-1] + exact[1:]) / 2, values)
    used, codes = np.unique(codes, return_inverse=True)
    return codebook[used], codes.astype(np.uint16)
