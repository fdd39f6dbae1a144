from collections.abc import Callable

import pytest
from torch import Tensor
from torch.nn import functional

from compressor.errors import NetworkError
from compressor.tracing import trace_network
from tests.compressor.toys import exactly
from tests.compressor.tracing.drawn import SHAPE, head, operators_of, traced_like


@pytest.mark.parametrize(
    ("function", "kernel", "strides", "pads"),
    [
        (lambda images: functional.max_pool2d(images, 2), (2, 2), (2, 2), (0, 0, 0, 0)),
        (lambda images: functional.max_pool2d(images, (3, 2), (2, 1), (1, 0)), (3, 2), (2, 1), (1, 0, 1, 0)),
        # With ceil_mode: the last window hangs over by one row and column; over by none; and one that would begin in
        # the padding is left out.
        (lambda images: functional.max_pool2d(images, 3, 2, ceil_mode=True), (3, 3), (2, 2), (0, 0, 1, 1)),
        (lambda images: functional.max_pool2d(images, 2, 2, ceil_mode=True), (2, 2), (2, 2), (0, 0, 0, 0)),
        (lambda images: functional.max_pool2d(images, 3, 3, 1, ceil_mode=True), (3, 3), (3, 3), (1, 1, 1, 1)),
        (lambda images: functional.max_pool2d(images, 2, 3, 1, ceil_mode=True), (2, 2), (3, 3), (1, 1, 1, 1)),
    ],
)
def test_a_max_pool_keeps_its_window(
    function: Callable[[Tensor], Tensor], kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, ...]
) -> None:
    traced = traced_like(head(function))
    assert operators_of(traced) == ["MaxPool"]
    assert traced.graph.nodes[0].attributes == {"kernel_shape": kernel, "strides": strides, "pads": pads}


@pytest.mark.parametrize(
    ("function", "kernel", "strides", "pads", "counted"),
    [
        (lambda images: functional.avg_pool2d(images, 2), (2, 2), (2, 2), (0, 0, 0, 0), 1),
        (lambda images: functional.avg_pool2d(images, 3, 2, 1), (3, 3), (2, 2), (1, 1, 1, 1), 1),
        (
            lambda images: functional.avg_pool2d(images, (3, 2), (1, 2), (1, 0), count_include_pad=False),
            (3, 2),
            (1, 2),
            (1, 0, 1, 0),
            0,
        ),
        (lambda images: functional.adaptive_avg_pool2d(images, (4, 2)), (2, 4), (2, 4), (0, 0, 0, 0), 1),
    ],
)
def test_an_average_pool_keeps_its_window(
    function: Callable[[Tensor], Tensor],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, ...],
    counted: int,
) -> None:
    traced = traced_like(head(function))
    assert operators_of(traced) == ["AveragePool"]
    window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    assert traced.graph.nodes[0].attributes == {**window, "count_include_pad": (counted,)}


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (lambda images: functional.adaptive_avg_pool2d(images, 1), ["GlobalAveragePool"]),
        (lambda images: functional.adaptive_avg_pool2d(images, 8), []),
        (lambda images: images.mean([2, 3], keepdim=True), ["GlobalAveragePool"]),
        (lambda images: images.mean([-1, -2]), ["GlobalAveragePool", "Flatten"]),
    ],
)
def test_a_mean_over_the_whole_picture_is_a_global_pool(
    function: Callable[[Tensor], Tensor], operators: list[str]
) -> None:
    nodes = [node.operator for node in traced_like(head(function)).graph.nodes]
    assert nodes == [*operators, "Gemm"] if operators[-1:] == ["Flatten"] else [*operators, "Flatten", "Gemm"]


MAX_POOL = "MaxPool with dilation has no counterpart in a bundle"
AVERAGE_POOL = "AveragePool with ceil_mode or divisor_override has no counterpart in a bundle"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: functional.max_pool2d(images, 2, 1, dilation=2), MAX_POOL),
        (lambda images: functional.avg_pool2d(images, 3, 2, ceil_mode=True), AVERAGE_POOL),
        (lambda images: functional.avg_pool2d(images, 2, divisor_override=3), AVERAGE_POOL),
        (
            lambda images: functional.adaptive_avg_pool2d(images, 3),
            "adaptive average pool from (8, 8) to (3, 3), must divide",
        ),
        (lambda images: images.mean(1), "mean must be over height and width"),
        (lambda images: images.flatten(1).mean(1, keepdim=True), "mean must be over height and width"),
    ],
)
def test_a_pool_without_a_counterpart_is_refused(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(NetworkError, match=exactly(f"the network's forward: {message}")):
        trace_network(head(function), SHAPE)
