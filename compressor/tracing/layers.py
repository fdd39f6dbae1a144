"""Convolution, linear layers and BatchNorm: the operators that have constants of their own."""

from compressor.errors import NetworkError
from compressor.tracing.lowering import Lowering, layer_of, pair


def _conv(lowering: Lowering, pads: tuple[int, int, int, int]) -> int:
    weight = lowering.constant(1, "weight")
    if weight is None or weight[0].ndim != 4:
        raise NetworkError("convolution without a weight of rank 4")
    attributes = {
        "strides": pair(lowering.argument(3, "stride", 1)),
        "pads": pads,
        "dilations": pair(lowering.argument(5, "dilation", 1)),
        "group": (int(lowering.argument(6, "groups", 1)),),
    }
    tensors = lowering.tensor(1, "weight") + lowering.tensor(2, "bias")
    return lowering.builder.add("Conv", (lowering.value(),), attributes, tensors=tensors, name=layer_of(weight[1]))


def conv_with_numbers(lowering: Lowering) -> int:
    height, width = pair(lowering.argument(4, "padding", 0))
    return _conv(lowering, (height, width, height, width))


def conv_with_words(lowering: Lowering) -> int:
    """padding = "same" puts the odd pixel at the bottom and the right, as torch does."""
    weight = lowering.constant(1, "weight")
    if lowering.argument(4, "padding", "valid") == "valid" or weight is None:
        return _conv(lowering, (0, 0, 0, 0))
    dilations = pair(lowering.argument(5, "dilation", 1))
    height, width = (d * (k - 1) for d, k in zip(dilations, weight[0].shape[2:], strict=True))
    return _conv(lowering, (height // 2, width // 2, height - height // 2, width - width // 2))


def linear(lowering: Lowering) -> int:
    weight = lowering.constant(1, "weight")
    if weight is None or len(lowering.shape()) != 2:
        raise NetworkError(f"linear on a tensor of rank {len(lowering.shape())}, must be [batch, features]")
    tensors = lowering.tensor(1, "weight") + lowering.tensor(2, "bias")
    return lowering.builder.add("Gemm", (lowering.value(),), tensors=tensors, name=layer_of(weight[1]))


def addmm(lowering: Lowering) -> int:
    bias, weight = lowering.constant(0, "bias"), lowering.constant(2, "mat2")
    scaled = lowering.argument(3, "beta", 1) != 1 or lowering.argument(4, "alpha", 1) != 1
    if bias is None or bias[0].ndim != 1 or weight is None or scaled:
        raise NetworkError("addmm must be a bias vector plus the input times a constant matrix")
    tensors = (lowering.builder.add_tensor(weight[0].T, weight[1]), lowering.builder.add_tensor(*bias))
    return lowering.builder.add("Gemm", (lowering.value(1),), tensors=tensors, name=layer_of(bias[1]))


def _batch_norm(lowering: Lowering, epsilon: float) -> int:
    """Folded: scale = gamma / sqrt(variance + epsilon), bias = beta - mean * scale, in float64."""
    mean, variance = lowering.constant(3, "running_mean"), lowering.constant(4, "running_var")
    if mean is None or variance is None:
        raise NetworkError("BatchNorm without running statistics has no counterpart in a bundle")
    gamma, beta = lowering.constant(1, "weight"), lowering.constant(2, "bias")
    scale = (variance[0].double() + epsilon).rsqrt()
    if gamma is not None:
        scale = scale * gamma[0].double()
    bias = -mean[0].double() * scale
    if beta is not None:
        bias = bias + beta[0].double()
    layer = layer_of(mean[1])
    tensors = tuple(
        lowering.builder.add_tensor(tensor, f"{layer}.{role}") for role, tensor in (("scale", scale), ("bias", bias))
    )
    return lowering.builder.add("BatchNormalization", (lowering.value(),), tensors=tensors, name=layer)


def batch_norm_of_module(lowering: Lowering) -> int:
    if lowering.argument(5, "training"):
        raise NetworkError("BatchNorm in training mode has no counterpart in a bundle")
    return _batch_norm(lowering, float(lowering.argument(7, "eps")))


def batch_norm_without_training(lowering: Lowering) -> int:
    return _batch_norm(lowering, float(lowering.argument(6, "eps")))
