from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.errors import NetworkError
from compressor.tracing import trace_network
from compressor.tracing.elementwise import LARGEST_FLOAT32
from tests.compressor.toys import exactly
from tests.compressor.tracing.drawn import SHAPE, head, operators_of, traced_like


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (torch.relu, ["Relu"]),
        (torch.sigmoid, ["Sigmoid"]),
        (functional.silu, ["Sigmoid", "Mul"]),
        (functional.relu6, ["Clip"]),
        (lambda images: images + images.relu(), ["Relu", "Add"]),
        (lambda images: images * images, ["Mul"]),
        (lambda images: images * images.mean((2, 3), keepdim=True).sigmoid(), ["GlobalAveragePool", "Sigmoid", "Mul"]),
        (lambda images: functional.dropout(images, 0.5, training=False), []),
        (lambda images: nn.Dropout2d(0.5).eval()(images), []),
        (lambda images: images.clone().contiguous().detach(), []),
        (lambda images: images.clone().relu_().add_(images), ["Relu", "Add"]),
    ],
)
def test_operators_that_work_element_by_element_are_lowered(
    function: Callable[[Tensor], Tensor], operators: list[str]
) -> None:
    assert operators_of(traced_like(head(function))) == operators


@pytest.mark.parametrize(
    ("function", "bounds"),
    [
        (functional.relu6, (0.0, 6.0)),
        (functional.hardtanh, (-1.0, 1.0)),
        (lambda images: functional.hardtanh(images, -0.25, 0.5), (-0.25, 0.5)),
        (lambda images: images.clamp(-0.5, 0.75), (-0.5, 0.75)),
        (lambda images: images.clamp(min=-0.5), (-0.5, LARGEST_FLOAT32)),
        (lambda images: images.clamp(max=0.75), (-LARGEST_FLOAT32, 0.75)),
        (lambda images: torch.clamp_min(images, 0.25), (0.25, LARGEST_FLOAT32)),
    ],
)
def test_clipping_keeps_its_bounds(function: Callable[[Tensor], Tensor], bounds: tuple[float, float]) -> None:
    traced = traced_like(head(function))
    assert operators_of(traced) == ["Clip"]
    assert traced.graph.nodes[0].attributes["bounds"] == bounds


def test_clipping_at_zero_from_below_is_relu() -> None:
    assert operators_of(traced_like(head(lambda images: images.clamp(min=0)))) == ["Relu"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: images * 2, "aten.mul.Tensor with a number has no counterpart in a bundle"),
        (lambda images: images + 1, "aten.add.Tensor with a number has no counterpart in a bundle"),
        (
            lambda images: torch.add(images, images.relu(), alpha=2),
            "aten.add.Tensor with a number has no counterpart in a bundle",
        ),
        (
            lambda images: images * images.mean((2, 3)).mean((0, 1)),
            "mean must be over height and width",
        ),
        (
            lambda images: functional.dropout(images, 0.5, training=True),
            "operator aten.native_dropout.default has no counterpart in a bundle",
        ),
        (lambda images: images - images.relu(), "operator aten.sub.Tensor has no counterpart in a bundle"),
        (
            lambda images: images + torch.zeros(images.size(0), *SHAPE),
            "aten.add.Tensor of a constant has no counterpart in a bundle",
        ),
    ],
)
def test_operators_without_a_counterpart_are_refused(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(NetworkError, match=exactly(f"the network's forward: {message}")):
        trace_network(head(function), SHAPE)


def test_adding_a_parameter_is_refused() -> None:
    def function(body: nn.Module, images: Tensor) -> Tensor:
        return images + body.get_parameter("weight").view(1, 4, 1, 1)

    message = "the network's forward: aten.add.Tensor of a constant has no counterpart in a bundle"
    with pytest.raises(NetworkError, match=exactly(message)):
        trace_network(head(function, nn.BatchNorm2d(4)), SHAPE)
