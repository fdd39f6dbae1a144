"""The operators in torch's own functions, one by one: what every engine must agree with."""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from model_store.bundle import Bundle
from model_store.graph import Node


def run_reference(bundle: Bundle, batch: np.ndarray) -> np.ndarray:
    """Logits in float64, nothing fused, values as [n, channels, height, width]."""
    values = [torch.from_numpy(batch).double()]
    for node in bundle.graph.nodes:
        constants = {
            role: torch.from_numpy(bundle.tensors[index].to_dense()).double() for role, index in node.tensor_roles()
        }
        values.append(_apply(node, [values[value] for value in node.values], constants))
    return values[-1].numpy()


def _apply(node: Node, inputs: list[Tensor], constants: dict[str, Tensor]) -> Tensor:
    value = inputs[0]
    match node.operator:
        case "Conv":
            return functional.conv2d(
                _bordered(node, value, 0.0),
                constants["weight"],
                constants.get("bias"),
                node.ints("strides"),
                0,
                node.ints("dilations"),
                node.ints("group")[0],
            )
        case "Gemm":
            return functional.linear(value, constants["weight"], constants.get("bias"))
        case "BatchNormalization":
            shape = (1, -1, *(1 for _ in value.shape[2:]))
            return value * constants["scale"].reshape(shape) + constants["bias"].reshape(shape)
        case "MaxPool":
            bordered = _bordered(node, value, float("-inf"))
            return functional.max_pool2d(bordered, node.ints("kernel_shape"), node.ints("strides"))
        case "AveragePool":
            total = functional.avg_pool2d(_bordered(node, value, 0.0), node.ints("kernel_shape"), node.ints("strides"))
            if node.ints("count_include_pad") == (1,):
                return total
            ones = _bordered(node, torch.ones_like(value), 0.0)
            return total / functional.avg_pool2d(ones, node.ints("kernel_shape"), node.ints("strides"))
    return _apply_plain(node, inputs)


def _apply_plain(node: Node, inputs: list[Tensor]) -> Tensor:
    value = inputs[0]
    match node.operator:
        case "Relu":
            return value.relu()
        case "Add":
            return value + inputs[1]
        case "Mul":
            return value * inputs[1]
        case "Clip":
            return value.clamp(*node.attributes["bounds"])
        case "Sigmoid":
            return value.sigmoid()
        case "GlobalAveragePool":
            return value.mean((2, 3), keepdim=True)
        case "Flatten":
            return value.flatten(1)
        case "Concat":
            return torch.cat(inputs, 1)
        case "Pad":
            channel, top, left, channel_end, bottom, right = node.ints("pads")
            return functional.pad(value, (left, right, top, bottom, channel, channel_end))
        case "Slice":
            bounds = zip(node.ints("starts"), node.ints("ends"), node.ints("steps"), strict=True)
            return value[(slice(None), *(slice(*bound) for bound in bounds))]
    raise AssertionError(node.operator)


def _bordered(node: Node, value: Tensor, blank: float) -> Tensor:
    top, left, bottom, right = node.ints("pads")
    return functional.pad(value, (left, right, top, bottom), value=blank)
