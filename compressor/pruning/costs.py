"""What keeping one weight costs: bits in the file, or multiply-accumulates for a picture."""

import math
from collections.abc import Mapping

from torch import nn

from compressor.tracing import trace_network
from model_store.shapes import infer_shapes

VALUE_BITS = 3.0  # of a code among 16 values after Huffman; what the index costs is what tells layers apart


def coded_bits(density: float) -> float:
    """Bits of one non-zero weight in a layer of that density (0..1): H(p) / p for where it is, and its value's code.

    H is the binary entropy: an index that is coded well takes that many bits a place (Shannon 1948), shared by the
    non-zeros. The sparser a layer, the dearer each weight that is left of it: log2(1 / p) + 1.44 bits and more.
    """
    if not 0 < density < 1:
        return VALUE_BITS
    entropy = -density * math.log2(density) - (1 - density) * math.log2(1 - density)
    return entropy / density + VALUE_BITS


def output_pixels(network: nn.Module, input_shape: tuple[int, int, int]) -> Mapping[str, int]:
    """Weight's name -> at how many places of a picture each of its elements multiplies: its multiply-accumulates.

    A convolution's is height times width of its output, a linear layer's 1; a layer used twice has the sum.

    Raises:
        NetworkError: the network cannot be traced.
    """
    traced = trace_network(network, input_shape)
    shapes = infer_shapes(traced.graph, [tensor.shape for tensor in traced.tensors], input_shape)
    pixels: dict[str, int] = {}
    for index, node in enumerate(traced.graph.nodes):
        for role, tensor in node.tensor_roles():
            if role == "weight":
                source = traced.sources[tensor]
                pixels[source] = pixels.get(source, 0) + math.prod(shapes[index + 1][1:])
    return pixels
