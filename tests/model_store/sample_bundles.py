"""Small bundles for the tests: drawn, not trained."""

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Graph, Node
from model_store.preprocessing import Preprocessing
from model_store.tensors import FloatTensor, SharedTensor

_CODEBOOK = np.array([-0.5, -0.25, 0.125, 0.25, 0.75], dtype=np.float16)
_WINDOW = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}


def shared(generator: np.random.Generator, *shape: int) -> SharedTensor:
    """Weights, about 40% of them non-zero."""
    elements = int(np.prod(shape))
    positions = np.sort(generator.choice(elements, size=max(len(_CODEBOOK), int(0.4 * elements)), replace=False))
    codes = generator.integers(len(_CODEBOOK), size=len(positions)).astype(np.uint16)
    codes[: len(_CODEBOOK)] = range(len(_CODEBOOK))  # every entry is used
    return SharedTensor(shape, positions.astype(np.int32), codes, _CODEBOOK)


def floats(generator: np.random.Generator, *shape: int) -> FloatTensor:
    return FloatTensor(generator.uniform(-1, 1, shape).astype(np.float16))


def tiny_bundle(seed: int = 0) -> Bundle:
    """A convolution and a linear layer over 4 x 4 grey pictures; another seed gives other weights."""
    generator = np.random.default_rng(seed)
    nodes = (
        Node("Conv", (0,), (0, 1), {**_WINDOW, "group": (1,)}, "conv"),
        Node("Relu", (1,)),
        Node("GlobalAveragePool", (2,)),
        Node("Flatten", (3,)),
        Node("Gemm", (4,), (2, 3), name="fc"),
    )
    tensors = (shared(generator, 6, 1, 3, 3), floats(generator, 6), shared(generator, 3, 6), floats(generator, 3))
    preprocessing = Preprocessing(4, 4, (0.5,), (0.25,))
    provenance = {"accuracy": 0.875, "seed": seed}
    return Bundle("tiny", preprocessing, ("a", "b", "c"), 81, 324, Graph(nodes), tensors, provenance)


def every_operator_bundle(seed: int = 0) -> Bundle:
    """A graph that uses every operator of the list once or more, over 9 x 8 pictures of 3 channels."""
    generator = np.random.default_rng(seed)
    strided = {"strides": (2, 1), "pads": (0, 1, 1, 0), "dilations": (1, 2), "group": (2,)}
    nodes = (
        Node("Conv", (0,), (0,), {**_WINDOW, "group": (1,)}, "conv1"),  # 1: 4 x 9 x 8
        Node("BatchNormalization", (1,), (1, 2), name="bn1"),
        Node("Clip", (2,), attributes={"bounds": (0.0, 6.0)}),
        Node("Conv", (3,), (3, 4), strided, "conv2"),  # 4: 4 x 5 x 5
        Node("Sigmoid", (4,)),
        Node("Slice", (3,), attributes={"starts": (0, 0, 1), "ends": (4, 9, 6), "steps": (2, 2, 1)}),  # 6: 2 x 5 x 5
        Node("Pad", (6,), attributes={"pads": (1, 0, 0, 1, 0, 0)}),  # 7: 4 x 5 x 5
        Node("Mul", (4, 5)),
        Node("Add", (8, 7)),
        Node("Relu", (9,)),
        Node("MaxPool", (10,), attributes={"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 1, 1)}),
        Node(
            "AveragePool",
            (10,),
            attributes={"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "count_include_pad": (0,)},
        ),
        Node(
            "AveragePool",
            (10,),
            attributes={"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "count_include_pad": (1,)},
        ),
        Node("Concat", (11, 12, 13)),  # 14: 12 x 5 x 5
        Node("GlobalAveragePool", (14,)),
        Node("Flatten", (15,)),
        Node("Gemm", (16,), (5, 6), name="fc"),
    )
    tensors = (
        shared(generator, 4, 3, 3, 3),
        floats(generator, 4),
        floats(generator, 4),
        shared(generator, 4, 2, 2, 3),
        floats(generator, 4),
        floats(generator, 5, 12),
        floats(generator, 5),
    )
    preprocessing = Preprocessing(9, 8, (0.5, 0.4, 0.3), (0.25, 0.2, 0.2))
    classes = tuple(f"class {index}" for index in range(5))
    return Bundle("every-operator", preprocessing, classes, 229, 916, Graph(nodes), tensors)
