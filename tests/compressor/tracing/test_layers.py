from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.errors import NetworkError
from compressor.tracing import trace_network
from tests.compressor.toys import exactly
from tests.compressor.tracing.drawn import SHAPE, head, operators_of, traced_like


def call(body: nn.Module, images: Tensor) -> Tensor:
    output: Tensor = body(images)
    return output


@pytest.mark.parametrize(
    ("layer", "strides", "pads", "dilations", "group"),
    [
        (nn.Conv2d(4, 6, 3), (1, 1), (0, 0, 0, 0), (1, 1), (1,)),
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), bias=False), (2, 1), (1, 0, 1, 0), (1, 1), (1,)),
        (nn.Conv2d(4, 6, 3, groups=2, padding=1), (1, 1), (1, 1, 1, 1), (1, 1), (2,)),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 1), (0, 0, 0, 0), (1, 1), (4,)),
        (nn.Conv2d(4, 6, 3, dilation=(2, 3), padding=2), (1, 1), (2, 2, 2, 2), (2, 3), (1,)),
        (nn.Conv2d(4, 6, 3, padding="same"), (1, 1), (1, 1, 1, 1), (1, 1), (1,)),
        (nn.Conv2d(4, 6, 3, padding="valid"), (1, 1), (0, 0, 0, 0), (1, 1), (1,)),
    ],
)
def test_a_convolution_keeps_its_attributes(
    layer: nn.Conv2d, strides: tuple[int, ...], pads: tuple[int, ...], dilations: tuple[int, ...], group: tuple[int]
) -> None:
    traced = traced_like(head(call, layer))
    node = traced.graph.nodes[0]
    assert operators_of(traced) == ["Conv"]
    assert node.attributes == {"strides": strides, "pads": pads, "dilations": dilations, "group": group}
    assert len(node.tensors) == 1 + (layer.bias is not None)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_same_padding_of_an_even_kernel_puts_the_odd_pixel_last() -> None:
    traced = traced_like(head(call, nn.Conv2d(4, 6, (2, 4), padding="same", dilation=(3, 1))))
    assert traced.graph.nodes[0].attributes["pads"] == (1, 1, 2, 2)


def test_a_linear_layer_may_have_no_bias() -> None:
    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(256, 3, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.fc(images.flatten(1))
            return logits

    assert traced_like(Without()).sources == ("fc.weight",)


def test_an_addmm_with_constants_is_a_linear_layer() -> None:
    class Multiplied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(256, 5))
            self.bias = nn.Parameter(torch.randn(5))

        def forward(self, images: Tensor) -> Tensor:
            return torch.addmm(self.bias, images.flatten(1), self.matrix)

    body = Multiplied()
    traced = traced_like(head(call, body))
    assert operators_of(traced) == ["Flatten", "Gemm"]
    assert np.array_equal(traced.tensors[0], body.matrix.detach().numpy().T)


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, eps=0.1), nn.BatchNorm1d(256)]
)
def test_batchnorm_is_folded_into_scale_and_bias(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    flat = isinstance(layer, nn.BatchNorm1d)
    traced = traced_like(head(lambda body, images: body(images.flatten(1) if flat else images), layer))
    assert operators_of(traced) == ["Flatten"] * flat + ["BatchNormalization"]
    scale, bias = traced.tensors[0], traced.tensors[1]
    state = {name: value.double().numpy() for name, value in layer.state_dict().items()}
    expected = state.get("weight", 1.0) / np.sqrt(state["running_var"] + layer.eps)
    assert np.allclose(scale, expected, rtol=1e-6)
    assert np.allclose(bias, state.get("bias", 0.0) - state["running_mean"] * expected, rtol=1e-5, atol=1e-6)
    assert traced.sources[:2] == ("body.scale", "body.bias")


@pytest.mark.parametrize(
    ("function", "body", "message"),
    [
        (
            lambda body, images: body(images),
            nn.Linear(8, 3),
            "layer 'body': linear on a tensor of rank 4, must be [batch, features]",
        ),
        (
            lambda body, images: functional.batch_norm(
                images, body.get_buffer("running_mean"), body.get_buffer("running_var"), training=True
            ),
            nn.BatchNorm2d(4),
            "the network's forward: operator aten._native_batch_norm_legit_functional.default has no counterpart in a "
            "bundle",
        ),
        (
            lambda body, images: functional.linear(images.flatten(1), images.flatten(1).mean(0, keepdim=True)),
            None,
            "the network's forward: mean must be over height and width",
        ),
        (
            lambda body, images: torch.addmm(body.bias, images.flatten(1), body.weight.t(), alpha=2),
            nn.Linear(256, 5),
            "the network's forward: addmm must be a bias vector plus the input times a constant matrix",
        ),
    ],
)
def test_a_layer_without_a_counterpart_is_refused(
    function: Callable[..., Tensor], body: nn.Module | None, message: str
) -> None:
    network = head(function, body if body is not None else nn.Identity())
    with pytest.raises(NetworkError, match=exactly(message)):
        trace_network(network, SHAPE)


def test_a_linear_layer_with_a_computed_weight_is_refused() -> None:
    class Keys(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.keys = nn.Parameter(torch.randn(5, 256))

        def forward(self, images: Tensor) -> Tensor:
            return functional.linear(self.keys, images.flatten(1)).t()

    message = "layer 'body': weight of aten.linear.default is computed, must be a parameter"
    with pytest.raises(NetworkError, match=exactly(message)):
        trace_network(head(call, Keys()), SHAPE)
