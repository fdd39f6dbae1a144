"""What the native engine's tests draw and compare with."""

import hypothesis.strategies as st
import numpy as np

from model_store.bundle import Bundle
from model_store.graph import Node
from model_store.tensors import SharedTensor, Tensor
from service.engine.numpy_engine import NumpyPlan
from tests.service.bundles import CONV, bundle_of, floats

CODEBOOK = np.array([-0.5, -0.25, 0.125, 0.375], dtype=np.float16)


def sparse(shape: tuple[int, ...], density: float, seed: int, empty_rows: float = 0.0) -> SharedTensor:
    """Weights of that density, which may be 0: then the matrix is empty. So is a share of its rows."""
    random = np.random.default_rng(seed)
    chosen = random.random(shape) < density
    chosen[random.random(shape[0]) < empty_rows] = False
    positions = np.flatnonzero(chosen).astype(np.int32)
    return SharedTensor(shape, positions, random.integers(0, 4, len(positions)).astype(np.uint16), CODEBOOK)


def agrees(got: np.ndarray, expected: np.ndarray) -> bool:
    """To 1e-4 of the largest logit."""
    scale = max(1e-3, float(np.abs(expected).max()))
    return bool(np.abs(got - expected).max() <= 1e-4 * scale)


@st.composite
def layers(draw: st.DrawFn) -> Bundle:
    """A stem that makes channels of the picture, the convolution in question, and at times a residual and a reader.

    Kernels, strides, dilations, borders, groups and densities vary, from no weight at all to all of them, and some rows
    may have none; the reader strides, so that the convolution writes to the phases of a map.
    """
    inputs = draw(st.sampled_from([1, 2, 6, 8, 24]))
    group = draw(st.sampled_from([1, 1, 2, inputs]))
    group = group if inputs % group == 0 else 1
    most = 8 if group < 24 else 3  # 72 maps of at most 27 x 27 values are still few enough to be called classes
    outputs = group * draw(st.sampled_from([count for count in (1, 2, 3, 5, 8) if count <= most]))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilations = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    spans = [(side - 1) * dilation + 1 for side, dilation in zip(kernel, dilations, strict=True)]
    height = max(1, spans[0] - pads[0] - pads[2]) + draw(st.integers(0, 20))
    width = max(1, spans[1] - pads[1] - pads[3]) + draw(st.integers(0, 20))
    window = {
        "strides": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "pads": pads,
        "dilations": dilations,
        "group": (group,),
    }
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.9, 1.0]))
    seed = draw(st.integers(0, 99))
    nodes = [
        Node("Conv", (0,), (0,), {**CONV, "pads": (0, 0, 0, 0)}, "stem"),
        Node("Conv", (1,), (1, 2), window, "conv"),
    ]
    empty_rows = draw(st.sampled_from([0.0, 0.0, 0.5]))
    shape = (outputs, inputs // group, *kernel)
    weights = [sparse((inputs, 2, 1, 1), 1.0, seed), sparse(shape, density, seed + 1, empty_rows)]
    tensors: list[Tensor] = [*weights, floats((outputs,), seed)]
    if draw(st.booleans()):
        nodes += [Node("Sigmoid", (2,)), Node("Conv", (1,), (3,), window, "other")]
        nodes += [Node("Add", (4, 3)), Node("Relu", (5,))]
        tensors.append(sparse(shape, 0.3, seed + 2))
    if draw(st.booleans()):
        strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        last = len(nodes)
        nodes.append(Node("Conv", (last,), (len(tensors),), {**CONV, "strides": strides}, "reader"))
        last_shape = (3, outputs, *((1, 1) if draw(st.booleans()) else (3, 3)))
        tensors.append(sparse(last_shape, 0.5, seed + 3))
    return bundle_of(nodes, tensors, (2, height, width))


def expected_of(bundle: Bundle, batch: np.ndarray) -> np.ndarray:
    return NumpyPlan(bundle).run(batch)
