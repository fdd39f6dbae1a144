import numpy as np
import pytest
import torch

from compressor.tracing import Oracle
from model_store.graph import Graph, Node
from model_store.operators import OPERATORS

ROWS = [[1.0, -2.0, 3.0], [4.0, 5.0, -6.0], [-7.0, 8.0, 9.0]]
WINDOW = {"strides": (1, 1), "pads": (0, 0, 0, 0)}


def run(*nodes: Node, tensors: tuple[list[object], ...] = ()) -> list[object]:
    """The value of a graph over one picture of one channel."""
    oracle = Oracle(Graph(nodes), [np.array(tensor, np.float32) for tensor in tensors])
    found: list[object] = oracle(torch.tensor([[ROWS]]))[0].tolist()
    return found


def test_every_operator_of_a_bundle_can_be_run() -> None:
    from compressor.tracing import oracle

    assert oracle._RUN.keys() == OPERATORS.keys()


@pytest.mark.parametrize(
    ("node", "tensors", "expected"),
    [
        (Node("Relu", (0,)), (), [[[1, 0, 3], [4, 5, 0], [0, 8, 9]]]),
        (Node("Add", (0, 0)), (), [[[2, -4, 6], [8, 10, -12], [-14, 16, 18]]]),
        (Node("Mul", (0, 0)), (), [[[1, 4, 9], [16, 25, 36], [49, 64, 81]]]),
        (Node("Clip", (0,), (), {"bounds": (-2.5, 4.5)}), (), [[[1, -2, 3], [4, 4.5, -2.5], [-2.5, 4.5, 4.5]]]),
        (Node("GlobalAveragePool", (0,)), (), [[[15 / 9]]]),
        (Node("Flatten", (0,)), (), [1, -2, 3, 4, 5, -6, -7, 8, 9]),
        (Node("Concat", (0, 0)), (), [ROWS, ROWS]),
        (Node("BatchNormalization", (0,), (0, 1), name="bn"), ([2], [1]), [[[3, -3, 7], [9, 11, -11], [-13, 17, 19]]]),
        (
            Node("MaxPool", (0,), (), {**WINDOW, "kernel_shape": (2, 2), "pads": (1, 0, 0, 0)}),
            (),
            [[[1, 3], [5, 5], [8, 9]]],
        ),
        (
            Node(
                "AveragePool",
                (0,),
                (),
                {"strides": (2, 2), "kernel_shape": (2, 2), "pads": (1, 1, 0, 0), "count_include_pad": (1,)},
            ),
            (),
            [[[0.25, 0.25], [-0.75, 4]]],
        ),
        (
            Node(
                "AveragePool",
                (0,),
                (),
                {"strides": (2, 2), "kernel_shape": (2, 2), "pads": (1, 1, 0, 0), "count_include_pad": (0,)},
            ),
            (),
            [[[1, 0.5], [-1.5, 4]]],
        ),
        (
            Node("Conv", (0,), (0, 1), {**WINDOW, "dilations": (2, 1), "group": (1,)}, "conv"),
            ([[[[1, 0], [0, 10]]]], [0.5]),
            [[[81.5, 88.5]]],
        ),
        (
            Node("Pad", (0,), (), {"pads": (1, 0, 1, 0, 1, 0)}),
            (),
            [[[0] * 4] * 4, [[0, *row] for row in ROWS] + [[0] * 4]],
        ),
        (
            Node("Slice", (0,), (), {"starts": (0, 0, 1), "ends": (1, 3, 3), "steps": (1, 2, 1)}),
            (),
            [[[-2, 3], [8, 9]]],
        ),
    ],
)
def test_an_operator_computes_what_onnx_says(node: Node, tensors: tuple[list[object], ...], expected: object) -> None:
    found = torch.tensor(run(node, tensors=tensors))
    assert found.shape == torch.tensor(expected).shape
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float32), atol=1e-6)


def test_a_linear_layer_has_its_weights_in_rows_of_outputs() -> None:
    flatten, gemm = Node("Flatten", (0,)), Node("Gemm", (1,), (0, 1), name="fc")
    assert run(flatten, gemm, tensors=([[1] * 9, [1] + [0] * 8], [0, 0.5])) == [15, 1.5]


def test_sigmoid_is_the_logistic_function() -> None:
    found = torch.tensor(run(Node("Sigmoid", (0,))))
    assert torch.allclose(found, 1 / (1 + torch.exp(-torch.tensor([ROWS]))), atol=1e-6)


def test_constants_are_copied_and_not_trained() -> None:
    weights = np.ones((1, 9), np.float32)
    oracle = Oracle(Graph((Node("Flatten", (0,)), Node("Gemm", (1,), (0,), name="fc"))), [weights])
    weights[:] = 5
    assert oracle(torch.ones(1, 1, 3, 3)).tolist() == [[9]]
    assert not any(constant.requires_grad for constant in oracle.parameters())
