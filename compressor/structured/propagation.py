"""Neuron importance, propagated backwards: s_k = |W_k+1|^T s_k+1 through the whole graph.

Yu et al. 2018, "NISP: Pruning Networks using Neuron Importance Score Propagation" (CVPR), sections 3.3 and 3.4. The
sums are those of the gradient of a linear network, the one whose weights are absolute: activations pass importance on
as it is, pooling hands it out evenly over its window, BatchNorm by its absolute scale, additions to both sides.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.structured.feature_selection import rank_features
from compressor.tracing import Oracle, trace_network
from compressor.tracing.oracle import run_node
from compressor.tracing.trace import TracedNetwork
from compressor.training.samples import Samples
from model_store.graph import Node

PICTURES, BATCH = 1000, 100
LAYERS = frozenset({"Conv", "Gemm"})


def filter_importance(network: nn.Module, samples: Samples) -> dict[str, Tensor]:
    """The importance of each filter of every convolution and linear layer before the classifier, float64 [filters].

    By the weight's name. That of the final responses (what the last layer reads) is ranked by infinite feature
    selection over the first pictures; a filter's is the sum of its neurons'.

    Raises:
        NetworkError: the network cannot be traced.
    """
    traced = trace_network(network, samples.input_shape)
    last = max(index for index, node in enumerate(traced.graph.nodes) if node.operator in LAYERS)
    final = traced.graph.nodes[last].values[0]
    importance = _final_importance(traced, final, samples)
    values = _linear_values(traced, final, samples.input_shape)
    made = [index for index, node in enumerate(traced.graph.nodes[:final]) if node.operator in LAYERS]
    if not made:
        return {}
    asked = [values[index + 1] for index in made]
    found = torch.autograd.grad(values[final], asked, importance.expand_as(values[final]), allow_unused=True)
    sums: dict[str, Tensor] = {}
    for index, gradient, value in zip(made, found, asked, strict=True):
        weight = traced.sources[traced.graph.nodes[index].tensors[0]]
        sums[weight] = sums.get(weight, 0.0) + _by_filter(gradient, value)  # a layer that is used twice: of both
    return sums


@torch.no_grad()
def _final_importance(traced: TracedNetwork, final: int, samples: Samples) -> Tensor:
    """float64 [1, features] or [1, channels, 1, 1]: a channel's, where the final responses are maps, by its mean."""
    oracle = Oracle(traced.graph, traced.tensors)
    responses = torch.cat([oracle.value(images, final) for images in samples.batches(PICTURES, BATCH)])
    maps = responses.ndim > 2
    ranked = rank_features(responses.flatten(2).mean(2) if maps else responses)
    return ranked[None, :, None, None] if maps else ranked[None]


def _linear_values(traced: TracedNetwork, final: int, shape: tuple[int, int, int]) -> list[Tensor]:
    """Every value of the network with absolute weights, for one picture of ones, float64, gradients attached."""
    values = [torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)]
    constants = [torch.from_numpy(tensor).double().abs() for tensor in traced.tensors]
    for node in traced.graph.nodes[:final]:
        given = {
            role: torch.zeros_like(constants[index]) if role == "bias" else constants[index]
            for role, index in node.tensor_roles()
        }
        values.append(_linear(node, [values[value] for value in node.values], given))
    return values


def _linear(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    replacement = _LINEAR.get(node.operator)
    return replacement(node, inputs) if replacement is not None else run_node(node, inputs, constants)


def _even_pool(node: Node, inputs: list[Tensor]) -> Tensor:
    top, left, bottom, right = node.ints("pads")
    padded = functional.pad(inputs[0], (left, right, top, bottom))
    return functional.avg_pool2d(padded, node.ints("kernel_shape"), node.ints("strides"))


_LINEAR: dict[str, Callable[[Node, list[Tensor]], Tensor]] = {
    "Relu": lambda node, inputs: inputs[0],
    "Clip": lambda node, inputs: inputs[0],
    "Sigmoid": lambda node, inputs: inputs[0],
    "Mul": lambda node, inputs: inputs[0] + inputs[1],  # a gate matters as much as what it lets through
    "MaxPool": _even_pool,
}


def _by_filter(gradient: Tensor | None, value: Tensor) -> Tensor:
    if gradient is None:  # what no one reads before the final responses
        return torch.zeros(value.shape[1], dtype=torch.float64)
    return gradient[0].flatten(1).sum(1) if gradient.ndim > 2 else gradient[0]
