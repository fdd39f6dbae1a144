"""Operations counted by hand for one node of each kind, and for networks whose figures are published."""

import pytest

from compressor.operations import Operations, count_operations
from model_store.graph import Graph, Node
from model_store.shapes import Shape

WINDOW = {"strides": (2, 2), "pads": (0, 0, 0, 0)}
KERNEL = {"kernel_shape": (2, 2), **WINDOW}
CONV = {**WINDOW, "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": (1,)}
CASES: list[tuple[Node, list[Shape], Operations]] = [  # on 3 channels of 4 x 4
    (Node("Relu", (0,)), [], Operations(comparisons=48)),
    (Node("Clip", (0,), (), {"bounds": (0.0, 6.0)}), [], Operations(comparisons=96)),
    (Node("Add", (0, 0)), [], Operations(additions=48)),
    (Node("Mul", (0, 0)), [], Operations(multiplications=48)),
    (Node("Sigmoid", (0,)), [], Operations(additions=48, divisions=48)),
    (Node("MaxPool", (0,), (), KERNEL), [], Operations(comparisons=3 * 4 * 3)),
    (
        Node("AveragePool", (0,), (), {**KERNEL, "count_include_pad": (1,)}),
        [],
        Operations(additions=3 * 4 * 3, divisions=3 * 4),
    ),
    (Node("GlobalAveragePool", (0,)), [], Operations(additions=3 * 15, divisions=3)),
    (Node("Flatten", (0,)), [], Operations()),
    (Node("Concat", (0, 0)), [], Operations()),
    (Node("BatchNormalization", (0,), (0, 1), {}, "bn"), [(3,), (3,)], Operations(multiplications=48, additions=48)),
    # 3 x 3 windows at stride 2 over 6 x 6: 2 x 2 outputs, 5 filters of 27 weights
    (Node("Conv", (0,), (0,), CONV, "conv"), [(5, 3, 3, 3)], Operations(multiply_adds=4 * 135, activations=20)),
    (
        Node("Conv", (0,), (0, 1), CONV, "conv"),
        [(5, 3, 3, 3), (5,)],
        Operations(multiply_adds=4 * 135, activations=20, additions=20),
    ),
]


def elements(shapes: list[Shape]) -> list[int]:
    return [shape[0] * (27 if len(shape) == 4 else 1) for shape in shapes]


@pytest.mark.parametrize(("node", "tensors", "expected"), CASES, ids=lambda case: getattr(case, "operator", ""))
def test_each_operator_costs_what_its_definition_says(node: Node, tensors: list[Shape], expected: Operations) -> None:
    assert count_operations(Graph((node,)), (3, 4, 4), tensors, elements(tensors)) == expected


def test_nodes_add_up_and_zero_weights_save_multiply_adds_alone() -> None:
    graph = Graph((Node("Flatten", (0,)), Node("Gemm", (1,), (0, 1), {}, "fc"), Node("Relu", (2,))))
    shapes: list[Shape] = [(10, 48), (10,)]
    dense = count_operations(graph, (3, 4, 4), shapes, [480, 10])
    assert dense == Operations(multiply_adds=480, additions=10, comparisons=10, activations=10)
    sparse = count_operations(graph, (3, 4, 4), shapes, [100, 10])
    assert sparse == Operations(multiply_adds=100, additions=10, comparisons=10, activations=10)
