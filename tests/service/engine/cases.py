"""One small bundle for each operator, and a strategy that draws convolutions."""

import hypothesis.strategies as st

from model_store.bundle import Bundle
from model_store.graph import Node
from model_store.tensors import Tensor
from tests.service.bundles import CONV, WINDOW, bundle_of, floats, residual_bundle, shared

_POOL = {"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 2, 1)}


def operator_cases() -> dict[str, Bundle]:
    """Every operator of the closed list, by a name for the test."""
    conv = Node("Conv", (0,), (0,), CONV, "conv")
    flat = Node("Flatten", (0,))
    one = [shared((4, 3, 3, 3))]
    return {
        "Conv": bundle_of([conv], one),
        "Conv with bias": bundle_of([Node("Conv", (0,), (0, 1), CONV, "conv")], [*one, floats((4,))]),
        "Conv of plain floats": bundle_of([conv], [floats((4, 3, 3, 3))]),
        "Conv of one non-zero": bundle_of([conv], [shared((4, 3, 3, 3), density=0.0)]),
        "Conv with bias and normalization": bundle_of(
            [Node("Conv", (0,), (0, 1), CONV, "conv"), Node("BatchNormalization", (1,), (2, 3), {}, "bn")],
            [*one, floats((4,)), floats((4,), 1), floats((4,), 2)],
        ),
        "Conv and Clip": bundle_of([conv, Node("Clip", (1,), (), {"bounds": (-0.25, 0.5)})], one),
        "Conv, Add and Relu": bundle_of([conv, Node("Add", (1, 0)), Node("Relu", (2,))], [shared((3, 3, 3, 3))]),
        "Conv added to itself": bundle_of([conv, Node("Add", (1, 1))], one),
        "Conv read twice": bundle_of([conv, Node("Relu", (1,)), Node("Add", (1, 2))], one),
        "Conv, then a broadcast Add": bundle_of(
            [conv, Node("GlobalAveragePool", (1,)), Node("Conv", (0,), (1,), CONV, "other"), Node("Add", (3, 2))],
            [*one, shared((4, 3, 3, 3), 1)],
        ),
        "two residuals": bundle_of(
            [conv, Node("Add", (1, 0)), Node("Add", (2, 0)), Node("Relu", (3,))], [shared((3, 3, 3, 3))]
        ),
        "Gemm": bundle_of([flat, Node("Gemm", (1,), (0,), {}, "head")], [shared((5, 192))]),
        "Gemm with bias": bundle_of([flat, Node("Gemm", (1,), (0, 1), {}, "head")], [floats((5, 192)), floats((5,))]),
        "Gemm, normalization and Relu": bundle_of(
            [
                flat,
                Node("Gemm", (1,), (0,), {}, "head"),
                Node("BatchNormalization", (2,), (1, 2), {}, "bn"),
                Node("Relu", (3,)),
            ],
            [shared((5, 192)), floats((5,)), floats((5,), 1)],
        ),
        "BatchNormalization": bundle_of(
            [Node("BatchNormalization", (0,), (0, 1), {}, "bn"), Node("Add", (1, 0)), Node("Relu", (2,))],
            [floats((3,)), floats((3,), 1)],
        ),
        "two BatchNormalizations": bundle_of(
            [
                Node("BatchNormalization", (0,), (0, 1), {}, "bn"),
                Node("BatchNormalization", (1,), (1, 0), {}, "bn2"),
            ],
            [floats((3,)), floats((3,), 1)],
        ),
        "Relu": bundle_of([Node("Relu", (0,))], []),
        "Relu beside a view": bundle_of(
            [
                Node("Relu", (0,)),
                Node("Flatten", (1,)),
                Node("Sigmoid", (1,)),
                Node("Flatten", (3,)),
                Node("Add", (2, 4)),
            ],
            [],
        ),
        "Clip": bundle_of([Node("Clip", (0,), (), {"bounds": (-1.0, 0.5)})], []),
        "Sigmoid": bundle_of([Node("Sigmoid", (0,))], []),
        "Add": bundle_of([Node("Relu", (0,)), Node("Add", (0, 1))], []),
        "Mul": bundle_of([Node("GlobalAveragePool", (0,)), Node("Mul", (0, 1))], []),
        "MaxPool": bundle_of([Node("MaxPool", (0,), (), _POOL)], []),
        "AveragePool": bundle_of([Node("AveragePool", (0,), (), {**_POOL, "count_include_pad": (0,)})], []),
        "AveragePool counting the border": bundle_of(
            [Node("AveragePool", (0,), (), {**_POOL, "count_include_pad": (1,)})], []
        ),
        "GlobalAveragePool": bundle_of([Node("GlobalAveragePool", (0,))], []),
        "Flatten twice": bundle_of([flat, Node("Flatten", (1,))], []),
        "Concat": bundle_of([Node("Relu", (0,)), Node("Concat", (0, 1, 0))], []),
        "Concat of features": bundle_of([flat, Node("Relu", (1,)), Node("Concat", (2, 1))], []),
        "Pad": bundle_of([Node("Pad", (0,), (), {"pads": (1, 0, 2, 3, 1, 0)})], []),
        "Slice": bundle_of([Node("Slice", (0,), (), {"starts": (0, 1, 0), "ends": (3, 8, 7), "steps": (2, 2, 3)})], []),
        "a residual network": residual_bundle(),
        "window": bundle_of([Node("MaxPool", (0,), (), {"kernel_shape": (2, 2), **WINDOW})], []),
    }


@st.composite
def convolutions(draw: st.DrawFn) -> Bundle:
    """A convolution of any group, kernel, stride, dilation and border that fits a small map."""
    group = draw(st.integers(1, 3))
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilations = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(4))
    spans = [(side - 1) * dilation + 1 for side, dilation in zip(kernel, dilations, strict=True)]
    height = max(1, spans[0] - pads[0] - pads[2]) + draw(st.integers(0, 5))
    width = max(1, spans[1] - pads[1] - pads[3]) + draw(st.integers(0, 5))
    channels = group * inputs
    if channels > 4:
        group, channels = 1, inputs
    attributes = {
        "strides": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "pads": pads,
        "dilations": dilations,
        "group": (group,),
    }
    shape = (outputs * group, channels // group, *kernel)
    seed = draw(st.integers(0, 9))
    weight: Tensor = shared(shape, seed) if draw(st.booleans()) else floats(shape, seed)
    return bundle_of([Node("Conv", (0,), (0,), attributes, "conv")], [weight], (channels, height, width))
