import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.graph import Graph, Node
from model_store.limits import MAX_ACTIVATION_ELEMENTS, MAX_ATTRIBUTE, MAX_MULTIPLY_ADDS
from model_store.shapes import count_multiply_adds, infer_shapes, multiply_adds_per_weight

UNPADDED = {"strides": (1, 1), "pads": (0, 0, 0, 0)}
CONV = {**UNPADDED, "dilations": (1, 1), "group": (1,)}
Shape = tuple[int, ...]


def shape_of(operator: str, shape: Shape, tensors: tuple[Shape, ...] = (), **attributes: tuple[float, ...]) -> Shape:
    """The shape that one node gives."""
    name = "layer" if tensors else ""
    node = Node(operator, (0,), tuple(range(len(tensors))), attributes, name)
    return infer_shapes(Graph((node,)), tensors, shape)[1]


def shape_of_two(operator: str, first: Shape, second: Shape) -> Shape:
    """The shape that Add, Mul or Concat gives for two shapes of rank 3, sliced from one picture."""
    whole = tuple(max(sides) for sides in zip(first, second, strict=True))
    slices = [
        Node("Slice", (0,), (), {"starts": (0, 0, 0), "ends": tuple(shape), "steps": (1, 1, 1)})
        for shape in (first, second)
    ]
    return infer_shapes(Graph((*slices, Node(operator, (1, 2)))), (), whole)[-1]


def zeros(*shape: int) -> torch.Tensor:
    """A tensor that has a shape and no memory."""
    return torch.zeros(shape, device="meta")


def draw_window(generator: np.random.Generator, most_pads: int) -> dict[str, Any]:
    return {
        "kernel": tuple(generator.integers(1, 6, 2).tolist()),
        "strides": tuple(generator.integers(1, 5, 2).tolist()),
        "pads": tuple(generator.integers(0, most_pads + 1, 4).tolist()),
    }


def padded(image: torch.Tensor, pads: Shape) -> torch.Tensor:
    top, left, bottom, right = pads
    return functional.pad(image, (left, right, top, bottom))


@pytest.mark.parametrize("seed", range(60))
def test_convolutions_have_the_shapes_of_torch(seed: int) -> None:
    generator = np.random.default_rng(seed)
    window = draw_window(generator, 6)
    group, per_group, outputs = generator.integers(1, 4, 3).tolist()
    side = tuple(generator.integers(1, 14, 2).tolist())
    dilations = tuple(generator.integers(1, 4, 2).tolist())
    image, weight = zeros(1, group * per_group, *side), zeros(group * outputs, per_group, *window["kernel"])
    attributes = {"strides": window["strides"], "pads": window["pads"], "dilations": dilations, "group": (group,)}
    arguments = ("Conv", tuple(image.shape[1:]), (tuple(weight.shape), (group * outputs,)))
    try:
        expected = functional.conv2d(
            padded(image, window["pads"]), weight, None, window["strides"], 0, dilations, group
        )
    except RuntimeError:
        with pytest.raises(MalformedBundle, match=r"must be <= padded input"):
            shape_of(*arguments, **attributes)
    else:
        assert shape_of(*arguments, **attributes) == tuple(expected.shape[1:])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_poolings_have_the_shapes_of_torch(operator: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    window = draw_window(generator, 0)
    window["pads"] = tuple(int(generator.integers(0, window["kernel"][axis])) for axis in (0, 1, 0, 1))
    image = zeros(1, 2, *generator.integers(1, 14, 2).tolist())
    attributes = {"kernel_shape": window["kernel"], "strides": window["strides"], "pads": window["pads"]}
    if operator == "AveragePool":
        attributes["count_include_pad"] = (seed % 2,)
    arguments = (operator, tuple(image.shape[1:]))
    try:
        expected = functional.max_pool2d(padded(image, window["pads"]), window["kernel"], window["strides"])
    except RuntimeError:
        with pytest.raises(MalformedBundle, match=r"must be <= padded input"):
            shape_of(*arguments, **attributes)
    else:
        assert shape_of(*arguments, **attributes) == tuple(expected.shape[1:])


@pytest.mark.parametrize("seed", range(20))
def test_slices_and_pads_have_the_shapes_of_torch(seed: int) -> None:
    generator = np.random.default_rng(seed)
    image = zeros(*generator.integers(1, 9, 3).tolist())
    starts = [int(generator.integers(0, side)) for side in image.shape]
    ends = [int(generator.integers(start + 1, side + 1)) for start, side in zip(starts, image.shape, strict=True)]
    steps = generator.integers(1, 5, 3).tolist()
    expected = image[tuple(slice(*bounds) for bounds in zip(starts, ends, steps, strict=True))]
    attributes = {"starts": tuple(starts), "ends": tuple(ends), "steps": tuple(steps)}
    assert shape_of("Slice", tuple(image.shape), **attributes) == tuple(expected.shape)
    pads = generator.integers(0, 5, 6).tolist()
    grown = functional.pad(image, (pads[2], pads[5], pads[1], pads[4], pads[0], pads[3]))
    assert shape_of("Pad", tuple(image.shape), pads=tuple(pads)) == tuple(grown.shape)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("operator", ["Add", "Mul", "Concat"])
def test_joins_have_the_shapes_of_torch(operator: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = (tuple(generator.integers(1, 3, 3).tolist()) for _ in range(2))
    tensors = zeros(*first), zeros(*second)
    try:
        expected = torch.cat(tensors) if operator == "Concat" else tensors[0] + tensors[1]
    except RuntimeError:
        with pytest.raises(MalformedBundle):
            shape_of_two(operator, first, second)
    else:
        assert shape_of_two(operator, first, second) == tuple(expected.shape)


def test_the_other_operators_keep_or_flatten_the_shape() -> None:
    for operator in ("Relu", "Sigmoid"):
        assert shape_of(operator, (2, 3, 4)) == (2, 3, 4)
    assert shape_of("Clip", (2, 3, 4), bounds=(0.0, 6.0)) == (2, 3, 4)
    assert shape_of("BatchNormalization", (2, 3, 4), ((2,), (2,))) == (2, 3, 4)
    assert shape_of("BatchNormalization", (2,), ((2,), (2,))) == (2,)
    assert shape_of("GlobalAveragePool", (2, 3, 4)) == (2, 1, 1)
    assert shape_of("Flatten", (2, 3, 4)) == (24,)
    assert shape_of("Gemm", (24,), ((10, 24), (10,))) == (10,)


POOL = {"kernel_shape": (2, 2), "strides": (1, 1)}
SLICE = {"starts": (0, 0, 0), "ends": (2, 8, 8), "steps": (1, 1, 1)}


@pytest.mark.parametrize(
    ("operator", "shape", "tensors", "attributes", "message"),
    [
        ("Conv", (4,), ((1, 4, 1, 1),), CONV, "input of shape (4,), must be (channels, height, width)"),
        ("Conv", (3, 8, 8), ((1, 4, 1, 1),), CONV, "weight (1, 4, 1, 1) in 1 groups does not fit 3 channels"),
        ("Conv", (3, 8, 8), ((1, 3),), CONV, "weight (1, 3) in 1 groups does not fit 3 channels"),
        (
            "Conv",
            (4, 8, 8),
            ((3, 2, 1, 1),),
            {**CONV, "group": (2,)},
            "weight (3, 2, 1, 1) in 2 groups does not fit 4 channels",
        ),
        ("Conv", (3, 8, 8), ((5, 3, 1, 1), (4,)), CONV, "bias of shape (4,), must be (5,)"),
        ("Conv", (3, 8, 8), ((5, 3, 1, 1), (5, 1)), CONV, "bias of shape (5, 1), must be (5,)"),
        ("Conv", (3, 8, 8), ((5, 3, 9, 1),), CONV, "kernel 9, must be <= padded input 8"),
        ("Conv", (3, 8, 8), ((5, 3, 1, 5),), {**CONV, "dilations": (1, 2)}, "kernel 9, must be <= padded input 8"),
        (
            "Conv",
            (3, 8, 8),
            ((5, 3, 1, 1),),
            {**CONV, "strides": (0, 1)},
            "strides = (0, 1), must be integers in 1..65536",
        ),
        (
            "Conv",
            (3, 8, 8),
            ((5, 3, 1, 1),),
            {**CONV, "group": (0,)},
            "group = (0,), must be integers in 1..65536",
        ),
        (
            "Conv",
            (3, 8, 8),
            ((5, 3, 1, 1),),
            {**CONV, "pads": (0, 0, 0, MAX_ATTRIBUTE + 1)},
            "pads = (0, 0, 0, 65537), must be integers in 0..65536",
        ),
        (
            "Conv",
            (3, 8, 8),
            ((5, 3, 1, 1),),
            {**CONV, "strides": (1.0, 1)},
            "strides = (1.0, 1), must be integers in 1..65536",
        ),
        ("Gemm", (3, 1, 1), ((2, 3),), {}, "weight (2, 3) does not fit input (3, 1, 1)"),
        ("Gemm", (4,), ((2, 3),), {}, "weight (2, 3) does not fit input (4,)"),
        ("Gemm", (3,), ((2, 3, 1),), {}, "weight (2, 3, 1) does not fit input (3,)"),
        ("Gemm", (3,), ((2, 3), (3,)), {}, "bias of shape (3,), must be (2,)"),
        ("BatchNormalization", (3, 2, 2), ((3,), (2,)), {}, "bias of shape (2,), must be (3,)"),
        ("BatchNormalization", (3, 2, 2), ((3, 1), (3,)), {}, "scale of shape (3, 1), must be (3,)"),
        ("GlobalAveragePool", (3,), (), {}, "input of shape (3,), must be (channels, height, width)"),
        ("Pad", (3,), (), {"pads": (0,) * 6}, "input of shape (3,), must be (channels, height, width)"),
        ("Slice", (3,), (), SLICE, "input of shape (3,), must be (channels, height, width)"),
        ("Slice", (2, 8, 8), (), {**SLICE, "starts": (2, 0, 0)}, "slice 2..2, must rise within 0..2"),
        ("Slice", (2, 8, 8), (), {**SLICE, "ends": (2, 8, 9)}, "slice 0..9, must rise within 0..8"),
        (
            "Slice",
            (2, 8, 8),
            (),
            {**SLICE, "steps": (1, 1, 0)},
            "steps = (1, 1, 0), must be integers in 1..65536",
        ),
        (
            "MaxPool",
            (2, 8, 8),
            (),
            {**POOL, "pads": (2, 0, 0, 0)},
            "pads (2, 0, 0, 0), must be smaller than the kernel (2, 2)",
        ),
        (
            "MaxPool",
            (2, 8, 8),
            (),
            {**POOL, "pads": (0, 0, 0, 2)},
            "pads (0, 0, 0, 2), must be smaller than the kernel (2, 2)",
        ),
        ("MaxPool", (2, 8, 1), (), {**POOL, "pads": (0, 0, 0, 0)}, "kernel 2, must be <= padded input 1"),
        ("MaxPool", (2,), (), {**POOL, "pads": (0, 0, 0, 0)}, "input of shape (2,), must be (channels, height, width)"),
        (
            "AveragePool",
            (2, 8, 8),
            (),
            {**POOL, "pads": (0, 0, 0, 0), "count_include_pad": (2,)},
            "count_include_pad 2, must be 0 or 1",
        ),
        ("Clip", (2,), (), {"bounds": (6.0, 0.0)}, "bounds (6.0, 0.0), must rise"),
        ("Clip", (2,), (), {"bounds": (1.0, 1.0 + 1e-12)}, "bounds (1.0, 1.000000000001), must rise"),
        ("Clip", (2,), (), {"bounds": (0.0, float("inf"))}, "bounds (0.0, inf), must be finite in float32"),
        ("Clip", (2,), (), {"bounds": (float("nan"), 1.0)}, "bounds (nan, 1.0), must be finite in float32"),
        ("Clip", (2,), (), {"bounds": (-1e39, 1.0)}, "bounds (-1e+39, 1.0), must be finite in float32"),
    ],
)
def test_a_node_that_does_not_fit_is_refused(
    operator: str, shape: Shape, tensors: tuple[Shape, ...], attributes: dict[str, Any], message: str
) -> None:
    place = f"node 0 ({operator} layer)" if tensors else f"node 0 ({operator})"
    with pytest.raises(MalformedBundle, match=f"^{re.escape(f'{place}: {message}')}$"):
        shape_of(operator, shape, tensors, **attributes)


def test_joins_of_different_ranks_are_refused() -> None:
    nodes = (Node("Flatten", (0,)), Node("Add", (0, 1)))
    with pytest.raises(MalformedBundle, match=r"^node 1 \(Add\): inputs \(4, 1, 1\) and \(4,\) cannot be broadcast$"):
        infer_shapes(Graph(nodes), (), (4, 1, 1))
    nodes = (Node("Flatten", (0,)), Node("Concat", (0, 1)))
    with pytest.raises(MalformedBundle, match=r"must differ in channels only$"):
        infer_shapes(Graph(nodes), (), (4, 1, 1))


def test_a_tensor_that_is_missing_is_refused() -> None:
    with pytest.raises(MalformedBundle, match=r"^node 0 \(Gemm fc\): tensor 1, must be in 0\.\.0$"):
        infer_shapes(Graph((Node("Gemm", (0,), (0, 1), {}, "fc"),)), [(2, 3)], (3,))


def test_activations_may_reach_their_limit_together_but_not_pass_it() -> None:
    half = MAX_ACTIVATION_ELEMENTS // 2
    assert infer_shapes(Graph((Node("Relu", (0,)),)), (), (half,))[-1] == (half,)
    with pytest.raises(
        BundleTooLarge, match=rf"^node 0 \(Relu\): {2 * half + 2} activations alive at once, must be <= {2 * half}$"
    ):
        infer_shapes(Graph((Node("Relu", (0,)),)), (), (half + 1,))


def test_a_value_counts_from_its_making_to_its_last_reader() -> None:
    third = MAX_ACTIVATION_ELEMENTS // 3
    chain = Graph(tuple(Node("Relu", (value,)) for value in range(10)))
    assert len(infer_shapes(chain, (), (third,))) == 11
    kept = Graph((*(Node("Relu", (0,)) for _ in range(3)), Node("Concat", (1, 2, 3))))
    with pytest.raises(BundleTooLarge, match=rf"^node 2 \(Relu\): {4 * third} activations alive at once"):
        infer_shapes(kept, (), (third,))
    freed = Graph((Node("Relu", (0,)), Node("Relu", (1,)), Node("Add", (1, 2)), Node("Relu", (3,))))
    assert infer_shapes(freed, (), (third,))[-1] == (third,)


def test_padding_and_concatenation_cannot_blow_up() -> None:
    with pytest.raises(BundleTooLarge, match=r"^node 0 \(Pad\): .* activations alive at once, must be <= 67108864$"):
        shape_of("Pad", (1, 1, 1), pads=(MAX_ATTRIBUTE,) * 6)
    doubling = Graph(tuple(Node("Concat", (value,) * 64) for value in range(10_000)))
    with pytest.raises(BundleTooLarge, match=r"^node 4 \(Concat\): "):
        infer_shapes(doubling, (), (1, 1, 1))


def test_multiply_adds_may_reach_their_limit_but_not_pass_it() -> None:
    side, channels = 512, 1 << 11
    weight = (channels, channels, 1, 1)
    assert side * side * channels * channels == MAX_MULTIPLY_ADDS
    nodes = (
        Node("Conv", (0,), (0,), {**CONV, "pads": (511, 511, 0, 0)}, "wide"),
        Node("Conv", (1,), (1,), {**CONV, "strides": (512, 512)}, "extra"),
    )
    with pytest.raises(BundleTooLarge, match=r"^node 0 \(Conv wide\): .* activations"):
        infer_shapes(Graph(nodes[:1]), [weight], (channels, 1, 1))
    gemms = [(1 << 20, 1 << 20), (1, 1 << 20)]
    assert infer_shapes(Graph((Node("Gemm", (0,), (0,), {}, "a"),)), gemms, (1 << 20,))[-1] == (1 << 20,)
    with pytest.raises(
        BundleTooLarge, match=rf"^node 1 \(Gemm b\): {(1 << 40) + (1 << 20)} multiply-adds, must be <= "
    ):
        infer_shapes(Graph((Node("Gemm", (0,), (0,), {}, "a"), Node("Gemm", (1,), (1,), {}, "b"))), gemms, (1 << 20,))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_windows_of_poolings_count_as_multiply_adds(operator: str) -> None:
    attributes: dict[str, Any] = {"kernel_shape": (512, 512), "strides": (1, 1), "pads": (0, 0, 0, 0)}
    if operator == "AveragePool":
        attributes["count_include_pad"] = (0,)
    assert shape_of(operator, (4, 1024, 1024), **attributes) == (4, 513, 513)
    nodes = [Node(operator, (0,), (), attributes) for _ in range(5)]
    with pytest.raises(BundleTooLarge, match=rf"^node 3 \({operator}\): .* multiply-adds, must be <= {1 << 40}$"):
        infer_shapes(Graph((*nodes, Node("Concat", (1, 2, 3, 4, 5)))), (), (4, 1024, 1024))


def test_multiply_adds_are_counted_for_all_weights_or_the_nonzeros() -> None:
    nodes = (
        Node("Conv", (0,), (0, 1), {**CONV, "strides": (2, 2)}, "conv"),
        Node("GlobalAveragePool", (1,)),
        Node("Flatten", (2,)),
        Node("Gemm", (3,), (2,), {}, "fc"),
    )
    graph, tensors = Graph(nodes), [(4, 3, 3, 3), (4,), (10, 4)]
    shapes = infer_shapes(graph, tensors, (3, 9, 9))
    assert shapes == ((3, 9, 9), (4, 4, 4), (4, 1, 1), (4,), (10,))
    assert multiply_adds_per_weight(shapes[1]) == 16
    assert count_multiply_adds(graph, shapes, [108, 4, 40]) == 108 * 16 + 40
    assert count_multiply_adds(graph, shapes, [7, 4, 5]) == 7 * 16 + 5
