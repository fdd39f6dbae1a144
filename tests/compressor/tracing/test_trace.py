import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.errors import NetworkError
from compressor.networks import NETWORKS, build_network, input_shape_of
from compressor.tracing import trace_network
from model_store.preprocessing import Preprocessing
from model_store.shapes import infer_shapes
from tests.compressor.toys import ToyNet, exactly, perturb_batchnorm, toy_net
from tests.compressor.tracing.drawn import SHAPE, head, traced_like

SLOW = ("resnet101", "resnet110", "resnet152")


def refused(network: nn.Module, message: str, shape: tuple[int, int, int] = SHAPE) -> None:
    with pytest.raises(NetworkError, match=exactly(message)):
        trace_network(network, shape)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NETWORKS])
def test_the_graph_of_a_network_computes_what_the_network_does(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, 10)
    perturb_batchnorm(network)
    traced = traced_like(network, input_shape_of(name))
    weights = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules())
    assert sum(node.operator in ("Conv", "Gemm") for node in traced.graph.nodes) == weights
    shapes = infer_shapes(traced.graph, [tensor.shape for tensor in traced.tensors], input_shape_of(name))
    assert shapes[-1] == (10,)


def test_constants_are_named_after_their_parameters() -> None:
    network = toy_net()
    perturb_batchnorm(network)
    traced = traced_like(network, Preprocessing(8, 8, (0.5,) * 3, (0.5,) * 3).input_shape)
    assert traced.sources == (
        *("conv1.weight", "bn1.scale", "bn1.bias", "conv2.weight", "bn2.scale", "bn2.bias", "fc.weight", "fc.bias"),
    )
    assert [node.name for node in traced.graph.nodes if node.name] == ["conv1", "bn1", "conv2", "bn2", "fc"]
    state = network.state_dict()
    for name in ("conv1.weight", "conv2.weight", "fc.weight", "fc.bias"):
        assert np.array_equal(traced.tensors[traced.sources.index(name)], state[name].numpy())
    assert {tensor.dtype for tensor in traced.tensors} == {np.dtype(np.float32)}


def test_the_network_itself_is_left_as_it_was() -> None:
    network = toy_net().to(memory_format=torch.channels_last).double().train()  # type: ignore[call-overload]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trace_network(network, (3, 8, 8))
    assert network.training
    assert network.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_laid_out_channels_last_gives_the_same_graph() -> None:
    plain = trace_network(toy_net(), (3, 8, 8))
    last = trace_network(toy_net().to(memory_format=torch.channels_last), (3, 8, 8))  # type: ignore[call-overload]
    assert last.graph == plain.graph
    assert all(np.array_equal(a, b) for a, b in zip(last.tensors, plain.tensors, strict=True))


def test_a_layer_used_twice_keeps_one_set_of_constants_under_two_names() -> None:
    traced = traced_like(head(lambda body, images: body(body(images)), nn.Conv2d(4, 4, 3, padding=1)))
    first, second = (node for node in traced.graph.nodes if node.operator == "Conv")
    assert (first.name, second.name) == ("body", "body_2")
    assert first.tensors == second.tensors
    assert traced.sources == ("body.weight", "body.bias", "fc.weight", "fc.bias")


def test_what_the_logits_do_not_depend_on_is_left_out() -> None:
    class Auxiliary(ToyNet):
        def forward(self, images: Tensor) -> Tensor:
            self.conv1(images).relu()
            hidden: Tensor = self.conv2(nn.functional.pad(images, (0, 0, 0, 0, 0, 5)))
            logits: Tensor = self.fc(hidden.mean((2, 3)))
            return logits

    traced = traced_like(Auxiliary(), (3, 8, 8))
    assert traced.sources == ("conv2.weight", "fc.weight", "fc.bias")
    assert [node.operator for node in traced.graph.nodes] == ["Pad", "Conv", "GlobalAveragePool", "Flatten", "Gemm"]


def test_what_depends_on_constants_alone_is_computed_while_tracing() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 4, 3, 3))
            self.gain = nn.Parameter(torch.rand(5, 1, 1, 1) + 0.5)

        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.conv2d(images, self.weight * self.gain)

    scaled = Scaled()
    traced = traced_like(head(lambda body, images: body(images), scaled))
    assert np.allclose(traced.tensors[0], (scaled.weight * scaled.gain).detach().numpy(), atol=1e-7)


def test_a_parametrised_weight_is_computed_while_tracing() -> None:
    body = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3))
    traced = traced_like(head(lambda body, images: body(images), body))
    assert np.allclose(traced.tensors[0], body.weight.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (nn.GELU(), "aten.gelu.default"),
        (nn.LeakyReLU(), "aten.leaky_relu.default"),
        (nn.ConvTranspose2d(4, 4, 3), "aten.conv_transpose2d.input"),
        (nn.PixelShuffle(2), "aten.pixel_shuffle.default"),
        (nn.BatchNorm2d(4, track_running_stats=False), "aten._native_batch_norm_legit.no_stats"),
    ],
)
def test_an_operator_that_bundles_lack_is_refused_by_layer_and_name(layer: nn.Module, operator: str) -> None:
    network = head(lambda body, images: body(images), nn.Sequential(nn.ReLU(), layer))
    refused(network, f"layer 'body.1': operator {operator} has no counterpart in a bundle")


def test_an_operator_outside_of_any_layer_is_refused_by_place() -> None:
    message = "the network's forward: operator aten.tanh.default has no counterpart in a bundle"
    refused(head(lambda images: images.tanh()), message)


def test_an_operator_that_cannot_be_computed_while_tracing_is_refused() -> None:
    class Expanded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.ones(1, 4, 8, 8))

        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([images, self.token.expand(images.size(0), 4, 8, 8)], 1)

    message = "layer 'body': operator aten.expand.default depends on the batch, must not"
    refused(head(lambda body, images: body(images), Expanded()), message)


def test_a_node_that_the_graph_refuses_is_a_network_error() -> None:
    message = "the network's forward: node '' (Concat): 65 inputs, must be 2..64"
    refused(head(lambda images: torch.cat([images] * 65, 1)), message)


def test_a_network_that_does_nothing_but_return_its_input_is_refused() -> None:
    refused(nn.Identity(), "the network returns a tensor of rank 4, must be logits [batch, classes]")


def test_a_network_must_return_logits() -> None:
    message = "the network returns a tensor of rank 4, must be logits [batch, classes]"
    refused(nn.Conv2d(4, 3, 1), message)


def test_a_network_must_return_one_tensor() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images.flatten(1), images.flatten(1).relu()

    refused(Two(), "the network returns 2 values, must be one tensor made of the input")


def test_a_network_that_ignores_its_input_is_refused() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.ones(1, 3))

        def forward(self, images: Tensor) -> Tensor:
            return self.logits * 2

    refused(Constant(), "the network returns 1 values, must be one tensor made of the input")


def test_a_network_that_does_not_take_the_pictures_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"\Atorch\.export cannot trace the network: .*channels"):
        trace_network(toy_net(), (4, 8, 8))


def test_a_network_that_drops_pictures_of_a_batch_is_refused() -> None:
    with pytest.raises(NetworkError, match=re.escape("torch.export cannot trace the network: Constraints violated")):
        trace_network(head(lambda images: images[1:]), SHAPE)
