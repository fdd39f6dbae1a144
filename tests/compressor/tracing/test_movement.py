from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from compressor.errors import NetworkError
from compressor.tracing import trace_network
from tests.compressor.toys import exactly
from tests.compressor.tracing.drawn import SHAPE, head, operators_of, traced_like


@pytest.mark.parametrize(
    "function",
    [
        lambda images: images.flatten(1),
        lambda images: images.view(images.size(0), -1),
        lambda images: images.reshape(-1, 256),
    ],
)
def test_every_spelling_of_flatten_is_one(function: Callable[[Tensor], Tensor]) -> None:
    assert [node.operator for node in traced_like(head(function)).graph.nodes] == ["Flatten", "Gemm"]


def test_squeezing_a_pooled_picture_is_a_flatten() -> None:
    traced = traced_like(head(lambda images: images.mean((2, 3), keepdim=True).squeeze((2, 3))))
    assert [node.operator for node in traced.graph.nodes] == ["GlobalAveragePool", "Flatten", "Gemm"]


def test_a_change_of_shape_to_the_same_shape_is_nothing() -> None:
    assert operators_of(traced_like(head(lambda images: images.view(-1, 4, 8, 8).relu()))) == ["Relu"]


def test_concatenation_keeps_the_order() -> None:
    traced = traced_like(head(lambda images: torch.cat([images.relu(), images, images.sigmoid()], 1)))
    assert operators_of(traced) == ["Relu", "Sigmoid", "Concat"]
    assert traced.graph.nodes[2].values == (1, 0, 2)


def test_concatenation_of_flat_values_counts_dimensions_from_the_end_too() -> None:
    traced = traced_like(head(lambda images: torch.cat([images.flatten(1), images.relu().flatten(1)], -1)))
    assert operators_of(traced) == ["Flatten", "Relu", "Flatten", "Concat"]


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        ((1, 2, 3, 0), (0, 3, 1, 0, 0, 2)),
        ((0, 1), (0, 0, 0, 0, 0, 1)),
        ((0, 0, 0, 0, 2, 5), (2, 0, 0, 5, 0, 0)),
    ],
)
def test_zero_padding_keeps_its_sides(padding: tuple[int, ...], pads: tuple[int, ...]) -> None:
    traced = traced_like(head(lambda images: functional.pad(images, padding)))
    assert operators_of(traced) == ["Pad"]
    assert traced.graph.nodes[0].attributes["pads"] == pads


def test_padding_by_nothing_is_nothing() -> None:
    assert operators_of(traced_like(head(lambda images: functional.pad(images, (0, 0, 0, 0)).relu()))) == ["Relu"]


@pytest.mark.parametrize(
    ("function", "starts", "ends", "steps"),
    [
        (lambda images: images[:, :, ::2, ::2], (0, 0, 0), (4, 7, 7), (1, 2, 2)),
        (lambda images: images[:, 1:3, 2:, :-1], (1, 2, 0), (3, 8, 7), (1, 1, 1)),
        (lambda images: images[:, -1:, 1::3], (3, 1, 0), (4, 8, 8), (1, 3, 1)),
        (lambda images: images[:, :, 1:][:, :, ::2][:, :, 1:], (0, 3, 0), (4, 8, 8), (1, 2, 1)),
    ],
)
def test_a_chain_of_slices_is_one(
    function: Callable[[Tensor], Tensor], starts: tuple[int, ...], ends: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    traced = traced_like(head(function))
    assert operators_of(traced) == ["Slice"]
    assert traced.graph.nodes[0].attributes == {"starts": starts, "ends": ends, "steps": steps}


def test_a_slice_that_keeps_everything_is_nothing() -> None:
    assert operators_of(traced_like(head(lambda images: images[:, :, 0:8].relu()))) == ["Relu"]


PAD = "padding must add zeros to channels, height or width"
SLICE = "slice must keep part of the channels, height or width of [batch, channels, height, width]"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: functional.pad(images, (1, 1, 1, 1), value=1.0), PAD),
        (lambda images: functional.pad(images, (1, 1, 1, 1), "reflect"), PAD),
        (lambda images: functional.pad(images, (-1, 1)), PAD),
        (lambda images: functional.pad(images.flatten(1), (1, 1)), PAD),
        (lambda images: images.flatten(1)[:, 3:9], SLICE),
        (lambda images: torch.cat([images, images], 2), "concatenation must be of computed values along the channels"),
        (
            lambda images: torch.cat([images, torch.zeros(images.size(0), *SHAPE)], 1),
            "concatenation must be of computed values along the channels",
        ),
        (lambda images: images[:, 0], "operator aten.select.int has no counterpart in a bundle"),
        (lambda images: images.permute(0, 2, 3, 1), "operator aten.permute.default has no counterpart in a bundle"),
        (
            lambda images: torch.cat(images.chunk(2, 1)[::-1], 1),
            "operator aten.split.Tensor has no counterpart in a bundle",
        ),
    ],
)
def test_a_movement_without_a_counterpart_is_refused(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(NetworkError, match=exactly(f"the network's forward: {message}")):
        trace_network(head(function), SHAPE)


def test_a_change_of_shape_that_is_no_flatten_is_refused() -> None:
    message = r"change of shape \[s\d+, 4, 8, 8\] to \[s\d+, 4, 64\], must keep the batch and join the rest"
    with pytest.raises(NetworkError, match=rf"\Athe network's forward: {message}\Z"):
        trace_network(head(lambda images: images.flatten(2)), SHAPE)
