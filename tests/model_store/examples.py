"""Bundles that tests read: the smallest one, and a small residual network with every layout."""

from dataclasses import replace

import numpy as np

from model_store.affine import fit_affine
from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.tensors import FloatTensor, SharedTensor, Tensor
from model_store.vectors import VectorTensor, sorted_book

WINDOW = {"pads": (1, 1, 1, 1), "dilations": (1, 1), "group": (1,)}


def smallest_bundle() -> Bundle:
    """One linear layer from a picture of 1 x 1 x 2 to two classes: weight [[0.5, 0], [0, -1]], bias [0, 1]."""
    weight = SharedTensor(
        (2, 2), np.array([0, 3], np.int32), np.array([1, 0], np.uint16), np.array([-1, 0.5], np.float16)
    )
    bias = FloatTensor(np.array([0, 1], np.float16))
    graph = Graph((Node("Flatten", (0,)), Node("Gemm", (1,), (0, 1), {}, "linear")))
    return Bundle("tiny", Preprocessing(1, 2, (0.5,), (0.25,)), ("no", "yes"), 6, 24, graph, (weight, bias))


def random_shared(
    generator: np.random.Generator, shape: tuple[int, ...], density: float, entries: int = 7
) -> SharedTensor:
    """Non-zeros at random positions with values from a random codebook."""
    elements = int(np.prod(shape))
    positions = np.sort(generator.choice(elements, round(elements * density), replace=False)).astype(np.int32)
    codebook = np.unique((generator.normal(size=entries) * 0.3).astype(np.float16))
    codebook = codebook[codebook != 0]
    codes = generator.integers(0, len(codebook), len(positions)).astype(np.uint16)
    return SharedTensor(shape, positions, codes, codebook)


def random_vectors(generator: np.random.Generator, shape: tuple[int, ...]) -> VectorTensor:
    """One to three stages of random codewords, some of their elements zero."""
    row = int(np.prod(shape[1:]))
    length = int(generator.choice([size for size in range(1, min(row, 64) + 1) if row % size == 0]))
    codes, books = [], []
    for _ in range(int(generator.integers(1, 4))):
        words = generator.normal(size=(int(generator.choice((1, 2, 5, 40))), length)) * 0.3
        words *= generator.random(words.shape) < 0.8
        book, chosen = sorted_book(words, generator.integers(0, len(words), int(np.prod(shape)) // length))
        codes.append(chosen)
        books.append(book)
    return VectorTensor(shape, tuple(codes), tuple(books))


def with_8_bit_vectors(bundle: Bundle) -> Bundle:
    """The bundle with its scale and bias, and whatever else is float16, rounded to 8 bits."""
    tensors = (fit_affine(item.values) if isinstance(item, FloatTensor) else item for item in bundle.tensors)
    return replace(bundle, tensors=tuple(tensors))


def with_vectors(bundle: Bundle, seed: int = 0) -> Bundle:
    """The bundle with vectors drawn in place of its shared weights."""
    generator = np.random.default_rng(seed)
    tensors = (random_vectors(generator, t.shape) if isinstance(t, SharedTensor) else t for t in bundle.tensors)
    return replace(bundle, tensors=tuple(tensors))


def residual_bundle(seed: int = 0, density: float = 0.2, provenance: dict[str, object] | None = None) -> Bundle:
    """Stem, a block of stride 2 with an option A shortcut, pooling and a classifier: 3 x 8 x 8 to 4 classes."""
    generator = np.random.default_rng(seed)
    tensors: list[Tensor] = []
    nodes: list[Node] = []

    def add(node: Node) -> int:
        nodes.append(node)
        return len(nodes)

    def vector(length: int) -> int:
        tensors.append(FloatTensor(generator.normal(size=length).astype(np.float16)))
        return len(tensors) - 1

    def conv(value: int, channels: tuple[int, int], stride: int, name: str, layer_density: float) -> int:
        tensors.append(random_shared(generator, (channels[1], channels[0], 3, 3), layer_density))
        attributes = {"strides": (stride, stride), **WINDOW}
        value = add(Node("Conv", (value,), (len(tensors) - 1,), attributes, name))
        scale_and_bias = (vector(channels[1]), vector(channels[1]))
        return add(Node("BatchNormalization", (value,), scale_and_bias, {}, name.replace("conv", "bn")))

    stem = add(Node("Relu", (conv(0, (3, 8), 1, "conv1", 0.9),)))
    hidden = add(Node("Relu", (conv(stem, (8, 16), 2, "layer1.0.conv1", density),)))
    hidden = conv(hidden, (16, 16), 1, "layer1.0.conv2", density)
    shortcut = add(Node("Slice", (stem,), (), {"starts": (0, 0, 0), "ends": (8, 8, 8), "steps": (1, 2, 2)}))
    shortcut = add(Node("Pad", (shortcut,), (), {"pads": (4, 0, 0, 4, 0, 0)}))
    hidden = add(Node("Relu", (add(Node("Add", (hidden, shortcut))),)))
    hidden = add(Node("Flatten", (add(Node("GlobalAveragePool", (hidden,))),)))
    tensors.append(random_shared(generator, (4, 16), 0.5))
    classifier = len(tensors) - 1
    add(Node("Gemm", (hidden,), (classifier, vector(4)), {}, "linear"))
    return Bundle(
        "residual",
        Preprocessing(8, 8, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)),
        ("ant", "bee", "cat", "dog"),
        4000,
        16000,
        Graph(tuple(nodes)),
        tuple(tensors),
        provenance or {},
    )
