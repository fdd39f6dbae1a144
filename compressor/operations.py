"""What a network does for one picture, counted from its graph: the same counter for networks and for bundles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from compressor.tracing import trace_network
from model_store.graph import Graph, Node
from model_store.shapes import Shape, count_multiply_adds, infer_shapes

CONVENTIONS = """\
Counted for one picture: a multiply-accumulate for every weight of a convolution or linear layer at every output pixel
(padding included); a bias adds once an output; BatchNorm is one multiplication and one addition a value; ReLU compares
once a value, a max pool one time less than its window has values; an average adds as often, and divides once; Sigmoid
is an addition and a division, its exponential is left out, as is the softmax after the logits. Activations are the
outputs of convolutions and linear layers (Radosavovic et al. 2020). Parameters are all trainable ones.
torchvision's networks are not always those of the papers: its ResNets stride in the 3x3 convolution of a block, not in
the first 1x1, its AlexNet is the one-column one of 2014, its GoogLeNet has BatchNorm and 3x3 filters for 5x5 ones."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations for one picture.

    Attributes:
        multiply_adds: of convolutions and linear layers.
        multiplications: by the scales of BatchNorm, and of values with values.
        activations: values that convolutions and linear layers write.
    """

    multiply_adds: int = 0
    comparisons: int = 0
    additions: int = 0
    divisions: int = 0
    multiplications: int = 0
    activations: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(*(getattr(self, name) + getattr(other, name) for name in Operations.__slots__))


def multiply_adds_of(network: nn.Module, input_shape: Shape) -> int:
    """Multiply-accumulates of a network's convolutions and linear layers for one picture, zeros included.

    Raises:
        NetworkError: it cannot be traced.
    """
    traced = trace_network(network, (input_shape[0], input_shape[1], input_shape[2]))
    sides = [tensor.shape for tensor in traced.tensors]
    shapes = infer_shapes(traced.graph, sides, input_shape)
    return count_multiply_adds(traced.graph, shapes, [math.prod(shape) for shape in sides])


def count_operations(
    graph: Graph, input_shape: Shape, tensor_shapes: Sequence[Shape], weights: Sequence[int]
) -> Operations:
    """Add up a graph's operations.

    Args:
        weights: how many of each tensor's elements take part: all of them, or the non-zeros.

    Raises:
        BundleError: the graph does not fit its tensors.
    """
    shapes = infer_shapes(graph, tensor_shapes, input_shape)
    total = Operations(multiply_adds=count_multiply_adds(graph, shapes, weights))
    for index, node in enumerate(graph.nodes):
        total += _beside_multiply_adds(node, math.prod(shapes[node.values[0]]), math.prod(shapes[index + 1]))
    return total


def _beside_multiply_adds(node: Node, read: int, written: int) -> Operations:
    """All that a node does but multiply-accumulate: `read` and `written` values."""
    match node.operator:
        case "Conv" | "Gemm":
            return Operations(additions=written * (len(node.tensors) - 1), activations=written)
        case "BatchNormalization":
            return Operations(multiplications=written, additions=written)
        case "Relu":
            return Operations(comparisons=written)
        case "Clip":
            return Operations(comparisons=2 * written)
        case "Add":
            return Operations(additions=written)
        case "Mul":
            return Operations(multiplications=written)
        case "Sigmoid":
            return Operations(additions=written, divisions=written)
        case "MaxPool":
            return Operations(comparisons=written * (math.prod(node.ints("kernel_shape")) - 1))
        case "AveragePool":
            return Operations(additions=written * (math.prod(node.ints("kernel_shape")) - 1), divisions=written)
        case "GlobalAveragePool":
            return Operations(additions=read - written, divisions=written)
    return Operations()  # Flatten, Concat, Pad, Slice move values
