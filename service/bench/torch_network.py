"""A bundle's graph as a dense torch module: what the compressed network would be, had nobody compressed it.

The graph becomes plain torch code by torch.fx, with no interpreter between the operators, and stays as it is: each node
one call of torch.nn.functional.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from model_store.bundle import Bundle
from model_store.graph import Node

_Operator = Callable[[Node, list[fx.Node], dict[str, fx.Node], fx.Graph], fx.Node]


def build_network(bundle: Bundle) -> fx.GraphModule:
    """The module, its parameters not filled in yet.

    They are named as `export_safetensors` names them, "<layer>.<role>", and are float32: `load_state_dict` takes what
    that wrote.
    """
    root = nn.Module()
    names = bundle.graph.tensor_names()
    for index, name in names.items():
        *modules, role = name.split(".")
        parameter = nn.Parameter(torch.empty(bundle.tensors[index].shape), requires_grad=False)
        _submodule(root, modules).register_parameter(role, parameter)
    graph = fx.Graph()
    values = [graph.placeholder("images")]
    for node in bundle.graph.nodes:
        inputs = [values[value] for value in node.values]
        constants = {role: graph.get_attr(names[index]) for role, index in node.tensor_roles()}
        values.append(_OPERATORS[node.operator](node, inputs, constants, graph))
    graph.output(values[-1])
    return fx.GraphModule(root, graph).eval()


def _submodule(root: nn.Module, path: list[str]) -> nn.Module:
    for name in path:
        if name not in dict(root.named_children()):
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    return root


def convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    dilations: tuple[int, int],
    group: int,
) -> Tensor:
    """A convolution with ONNX's four pads: top, left, bottom, right."""
    if pads[:2] == pads[2:]:
        return functional.conv2d(images, weight, bias, strides, pads[:2], dilations, group)
    return functional.conv2d(_padded(images, pads, 0.0), weight, bias, strides, 0, dilations, group)


def normalize(images: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """One pass over the activations, as a BatchNormalization whose statistics are known makes."""
    zeros, ones = torch.zeros_like(scale), torch.ones_like(scale)
    return functional.batch_norm(images, zeros, ones, scale, bias, False, 0.0, 0.0)


def max_pool(
    images: Tensor, kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int]
) -> Tensor:
    """Pooling by maximum with four pads."""
    return functional.max_pool2d(_padded(images, pads, -math.inf), kernel, strides)


def average_pool(
    images: Tensor,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    count_padding: bool,
) -> Tensor:
    """Pooling by mean with four pads, which count as pixels or do not."""
    means = functional.avg_pool2d(_padded(images, pads, 0.0), kernel, strides)
    if count_padding or not any(pads):
        return means
    return means / functional.avg_pool2d(_padded(torch.ones_like(images[:1, :1]), pads, 0.0), kernel, strides)


def _padded(images: Tensor, pads: tuple[int, int, int, int], value: float) -> Tensor:
    top, left, bottom, right = pads
    return functional.pad(images, (left, right, top, bottom), value=value) if any(pads) else images


def strided_slice(images: Tensor, starts: list[int], ends: list[int], steps: list[int]) -> Tensor:
    """Channels, rows and columns from `starts` to before `ends`."""
    return images[(slice(None), *(slice(*bounds) for bounds in zip(starts, ends, steps, strict=True)))]


def _conv(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    window = tuple(node.ints(name) for name in ("strides", "pads", "dilations"))
    (group,) = node.ints("group")
    return graph.call_function(convolve, (*inputs, constants["weight"], constants.get("bias"), *window, group))


def _gemm(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(functional.linear, (*inputs, constants["weight"], constants.get("bias")))


def _normalization(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(normalize, (*inputs, constants["scale"], constants["bias"]))


def _clip(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(torch.clamp, (*inputs, *node.attributes["bounds"]))


def _pool(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    window = tuple(node.ints(name) for name in ("kernel_shape", "strides", "pads"))
    if node.operator == "MaxPool":
        return graph.call_function(max_pool, (*inputs, *window))
    return graph.call_function(average_pool, (*inputs, *window, node.ints("count_include_pad") == (1,)))


def _mean(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(functional.adaptive_avg_pool2d, (*inputs, (1, 1)))


def _pad(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    channel, top, left, channel_end, bottom, right = node.ints("pads")
    return graph.call_function(functional.pad, (*inputs, (left, right, top, bottom, channel, channel_end)))


def _slice(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    bounds = tuple(list(node.ints(name)) for name in ("starts", "ends", "steps"))
    return graph.call_function(strided_slice, (*inputs, *bounds))


def _called(function: Callable[..., Tensor]) -> _Operator:
    """An operator without attributes or constants."""
    return lambda node, inputs, constants, graph: graph.call_function(function, tuple(inputs))


def _concat(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(torch.cat, (inputs, 1))


def _flatten(node: Node, inputs: list[fx.Node], constants: dict[str, fx.Node], graph: fx.Graph) -> fx.Node:
    return graph.call_function(torch.flatten, (*inputs, 1))


_OPERATORS: dict[str, _Operator] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "BatchNormalization": _normalization,
    "Relu": _called(functional.relu),
    "Add": _called(torch.add),
    "Mul": _called(torch.mul),
    "Clip": _clip,
    "Sigmoid": _called(torch.sigmoid),
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _mean,
    "Flatten": _flatten,
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
}
