"""Small bundles for the service's tests: one operator, or a small residual network, with random weights."""

import math
from collections.abc import Sequence

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.shapes import infer_shapes
from model_store.tensors import FloatTensor, SharedTensor, Tensor

WINDOW = {"strides": (1, 1), "pads": (1, 1, 1, 1)}
CONV = {**WINDOW, "dilations": (1, 1), "group": (1,)}
CODEBOOK = np.array([-0.5, -0.25, 0.125, 0.375], dtype=np.float16)


def shared(shape: Sequence[int], seed: int = 0, density: float = 0.4) -> SharedTensor:
    """Random weights over a codebook of four."""
    random = np.random.default_rng(seed)
    elements = math.prod(shape)
    positions = np.flatnonzero(random.random(elements) < density).astype(np.int32)
    if not len(positions):
        positions = np.array([elements - 1], dtype=np.int32)
    used, codes = np.unique(random.integers(0, len(CODEBOOK), len(positions)), return_inverse=True)
    return SharedTensor(tuple(shape), positions, codes.astype(np.uint16), CODEBOOK[used])


def floats(shape: Sequence[int], seed: int = 0) -> FloatTensor:
    """Random float16 values."""
    return FloatTensor(np.random.default_rng(seed).normal(0, 0.5, tuple(shape)).astype(np.float16))


def bundle_of(
    nodes: Sequence[Node],
    tensors: Sequence[Tensor],
    input_shape: tuple[int, int, int] = (3, 8, 8),
    provenance: dict[str, object] | None = None,
) -> Bundle:
    """A bundle of any graph: what the graph makes is flattened to one logit a feature where it is not flat."""
    channels, height, width = input_shape
    preprocessing = Preprocessing(height, width, (0.5,) * channels, (0.25,) * channels)
    graph_nodes = list(nodes)
    shapes = infer_shapes(Graph(tuple(graph_nodes)), [tensor.shape for tensor in tensors], input_shape)
    if len(shapes[-1]) != 1:
        graph_nodes.append(Node("Flatten", (len(graph_nodes),)))
    names = tuple(f"class {index}" for index in range(math.prod(shapes[-1])))
    elements = sum(math.prod(tensor.shape) for tensor in tensors) or 1
    return Bundle(
        "test",
        preprocessing,
        names,
        elements,
        4 * elements,
        Graph(tuple(graph_nodes)),
        tuple(tensors),
        provenance or {},
    )


def residual_bundle(seed: int = 0, input_shape: tuple[int, int, int] = (3, 8, 8), classes: int = 4) -> Bundle:
    """Conv, BatchNormalization, Relu, a residual block with a strided shortcut, pooling and a Gemm."""
    channels = input_shape[0]
    strided = {**CONV, "strides": (2, 2)}
    shortcut = {"strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": (1,)}
    nodes = [
        Node("Conv", (0,), (0,), CONV, "stem"),  # 1
        Node("BatchNormalization", (1,), (1, 2), {}, "stem.bn"),  # 2
        Node("Relu", (2,)),  # 3
        Node("Conv", (3,), (3,), strided, "block.conv1"),  # 4
        Node("BatchNormalization", (4,), (4, 5), {}, "block.bn1"),  # 5
        Node("Relu", (5,)),  # 6
        Node("Conv", (6,), (6,), CONV, "block.conv2"),  # 7
        Node("BatchNormalization", (7,), (7, 8), {}, "block.bn2"),  # 8
        Node("Conv", (3,), (9,), shortcut, "block.shortcut"),  # 9
        Node("Add", (8, 9)),  # 10
        Node("Relu", (10,)),  # 11
        Node("GlobalAveragePool", (11,)),  # 12
        Node("Flatten", (12,)),  # 13
        Node("Gemm", (13,), (10, 11), {}, "head"),  # 14
    ]
    tensors: list[Tensor] = [
        shared((6, channels, 3, 3), seed),
        *(floats((6,), seed + index) for index in (1, 2)),
        shared((8, 6, 3, 3), seed + 3),
        *(floats((8,), seed + index) for index in (4, 5)),
        shared((8, 8, 3, 3), seed + 6),
        *(floats((8,), seed + index) for index in (7, 8)),
        floats((8, 6, 1, 1), seed + 9),
        shared((classes, 8), seed + 10),
        floats((classes,), seed + 11),
    ]
    return bundle_of(nodes, tensors, input_shape, {"accuracy": 0.9125})


def pictures(bundle: Bundle, count: int, seed: int = 0) -> np.ndarray:
    """A random normalised batch that fits the bundle."""
    shape = (count, *bundle.preprocessing.input_shape)
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
