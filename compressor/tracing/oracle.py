"""Run a decoded bundle with torch.nn.functional in float32: slow, plain, and independent of the service's engines."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model_store.graph import Graph, Node


class Oracle(nn.Module):
    """Executes a graph over its dense float32 constants, node after node.

    Args:
        tensors: float32 arrays, indexed by `Node.tensors` (of a bundle: each tensor's `to_dense()`).
    """

    def __init__(self, graph: Graph, tensors: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.graph = graph
        constants = (torch.from_numpy(np.array(tensor, dtype=np.float32)) for tensor in tensors)
        self.constants = nn.ParameterList(nn.Parameter(tensor, requires_grad=False) for tensor in constants)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 [batch, classes] of normalised pictures [batch, channels, height, width]."""
        return self.value(images, len(self.graph.nodes))

    def value(self, images: Tensor, number: int) -> Tensor:
        """The graph's value of that number, float32 [batch, ...]; 0 is the pictures, i what node i - 1 makes."""
        values = [images]
        for node in self.graph.nodes[:number]:
            inputs = [values[value] for value in node.values]
            constants = {role: self.constants[index] for role, index in node.tensor_roles()}
            values.append(run_node(node, inputs, constants))
        return values[number]


def run_node(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    """What one node makes of its inputs [batch, ...] and its constants by role."""
    return _RUN[node.operator](node, inputs, constants)


def _pad(image: Tensor, pads: tuple[int, ...], value: float = 0.0) -> Tensor:
    """Pad height and width by (top, left, bottom, right)."""
    top, left, bottom, right = pads
    return functional.pad(image, (left, right, top, bottom), value=value) if any(pads) else image


def _conv(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    return functional.conv2d(
        _pad(inputs[0], node.ints("pads")),
        constants["weight"],
        constants.get("bias"),
        stride=node.ints("strides"),
        dilation=node.ints("dilations"),
        groups=node.ints("group")[0],
    )


def _batch_norm(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    shape = (1, -1, *(1,) * (inputs[0].ndim - 2))
    return inputs[0] * constants["scale"].view(shape) + constants["bias"].view(shape)


def _max_pool(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    padded = _pad(inputs[0], node.ints("pads"), -float("inf"))
    return functional.max_pool2d(padded, node.ints("kernel_shape"), node.ints("strides"))


def _average_pool(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    kernel, strides, pads = node.ints("kernel_shape"), node.ints("strides"), node.ints("pads")
    sums = functional.avg_pool2d(_pad(inputs[0], pads), kernel, strides, divisor_override=1)
    if node.ints("count_include_pad")[0]:
        return sums / (kernel[0] * kernel[1])
    ones = torch.ones_like(inputs[0][:1, :1])
    return sums / functional.avg_pool2d(_pad(ones, pads), kernel, strides, divisor_override=1)


def _pad_with_zeros(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    channel, top, left, channel_end, bottom, right = node.ints("pads")
    return functional.pad(inputs[0], (left, right, top, bottom, channel, channel_end))


def _slice(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    bounds = zip(node.ints("starts"), node.ints("ends"), node.ints("steps"), strict=True)
    return inputs[0][(slice(None), *(slice(*bound) for bound in bounds))]


_RUN: dict[str, Callable[[Node, list[Tensor], dict[str, Tensor]], Tensor]] = {
    "Conv": _conv,
    "Gemm": lambda node, inputs, constants: functional.linear(inputs[0], constants["weight"], constants.get("bias")),
    "BatchNormalization": _batch_norm,
    "Relu": lambda node, inputs, constants: inputs[0].relu(),
    "Add": lambda node, inputs, constants: inputs[0] + inputs[1],
    "Mul": lambda node, inputs, constants: inputs[0] * inputs[1],
    "Clip": lambda node, inputs, constants: inputs[0].clamp(*node.attributes["bounds"]),
    "Sigmoid": lambda node, inputs, constants: inputs[0].sigmoid(),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node, inputs, constants: inputs[0].mean((2, 3), keepdim=True),
    "Flatten": lambda node, inputs, constants: inputs[0].flatten(1),
    "Concat": lambda node, inputs, constants: torch.cat(inputs, 1),
    "Pad": _pad_with_zeros,
    "Slice": _slice,
}
