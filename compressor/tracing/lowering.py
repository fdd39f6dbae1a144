"""How each ATen operator becomes nodes of the bundle's graph (ONNX names and semantics)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from compressor.errors import NetworkError
from compressor.tracing.builder import GraphBuilder

LARGEST_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """One exported node, with what is known of its inputs."""

    node: fx.Node
    builder: GraphBuilder
    values: Mapping[fx.Node, int]
    constants: Mapping[fx.Node, tuple[Tensor, str]]

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or keyword."""
        if index < len(self.node.args):
            return self.node.args[index]
        return self.node.kwargs.get(name, default)

    def value(self, index: int = 0) -> int:
        """The graph's value that an argument is."""
        source = self.node.args[index]
        if not isinstance(source, fx.Node) or source not in self.values:
            raise NetworkError(f"{self.node.target} of a constant has no counterpart in a bundle")
        return self.values[source]

    def constant(self, index: int, name: str) -> tuple[Tensor, str] | None:
        """A constant argument and its parameter's name; None where it is absent."""
        source = self.argument(index, name)
        if source is None:
            return None
        if source not in self.constants:
            raise NetworkError(f"{name} of {self.node.target} is computed, must be a parameter")
        return self.constants[source]

    def tensor(self, index: int, name: str) -> tuple[int, ...]:
        """A constant argument as tensor indices: one, or none where it is absent."""
        found = self.constant(index, name)
        return () if found is None else (self.builder.add_tensor(*found),)

    def shape(self, index: int = 0) -> tuple[Any, ...]:
        """The shape of a tensor argument; the batch is symbolic."""
        source = self.node.args[index]
        assert isinstance(source, fx.Node)
        return tuple(source.meta["val"].shape)

    @property
    def out_shape(self) -> tuple[Any, ...]:
        value = self.node.meta["val"]
        return tuple((value[0] if isinstance(value, tuple | list) else value).shape)


def _pair(value: Any) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    return (int(both[0]), int(both[-1]))


def _layer(parameter: str) -> str:
    """The layer of a parameter: "layer1.0.conv1.weight" -> "layer1.0.conv1"."""
    return parameter.rpartition(".")[0] or parameter


def _conv(lowering: Lowering, pads: tuple[int, int, int, int]) -> int:
    weight = lowering.constant(1, "weight")
    if weight is None or weight[0].ndim != 4:
        raise NetworkError("convolution without a weight of rank 4")
    attributes = {
        "strides": _pair(lowering.argument(3, "stride", 1)),
        "pads": pads,
        "dilations": _pair(lowering.argument(5, "dilation", 1)),
        "group": (int(lowering.argument(6, "groups", 1)),),
    }
    tensors = lowering.tensor(1, "weight") + lowering.tensor(2, "bias")
    return lowering.builder.add("Conv", (lowering.value(),), attributes, tensors=tensors, name=_layer(weight[1]))


def _conv_with_numbers(lowering: Lowering) -> int:
    height, width = _pair(lowering.argument(4, "padding", 0))
    return _conv(lowering, (height, width, height, width))


def _conv_with_words(lowering: Lowering) -> int:
    """padding = "same" puts the odd pixel at the bottom and the right, as torch does."""
    weight = lowering.constant(1, "weight")
    if lowering.argument(4, "padding") == "valid" or weight is None:
        return _conv(lowering, (0, 0, 0, 0))
    dilations = _pair(lowering.argument(5, "dilation", 1))
    height, width = (d * (k - 1) for d, k in zip(dilations, weight[0].shape[2:], strict=True))
    return _conv(lowering, (height // 2, width // 2, height - height // 2, width - width // 2))


def _linear(lowering: Lowering) -> int:
    weight = lowering.constant(1, "weight")
    if weight is None or len(lowering.shape()) != 2:
        raise NetworkError(f"linear on a tensor of rank {len(lowering.shape())}, must be [batch, features]")
    tensors = lowering.tensor(1, "weight") + lowering.tensor(2, "bias")
    return lowering.builder.add("Gemm", (lowering.value(),), tensors=tensors, name=_layer(weight[1]))


def _addmm(lowering: Lowering) -> int:
    bias, weight = lowering.constant(0, "bias"), lowering.constant(2, "mat2")
    scaled = lowering.argument(3, "beta", 1) != 1 or lowering.argument(4, "alpha", 1) != 1
    if bias is None or bias[0].ndim != 1 or weight is None or scaled:
        raise NetworkError("addmm must be a bias vector plus the input times a constant matrix")
    tensors = (lowering.builder.add_tensor(weight[0].T, weight[1]), lowering.builder.add_tensor(*bias))
    return lowering.builder.add("Gemm", (lowering.value(1),), tensors=tensors, name=_layer(bias[1]))


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
    layer = _layer(mean[1])
    tensors = tuple(
        lowering.builder.add_tensor(tensor, f"{layer}.{role}") for role, tensor in (("scale", scale), ("bias", bias))
    )
    return lowering.builder.add("BatchNormalization", (lowering.value(),), tensors=tensors, name=layer)


def _batch_norm_of_module(lowering: Lowering) -> int:
    if lowering.argument(5, "training"):
        raise NetworkError("BatchNorm in training mode has no counterpart in a bundle")
    return _batch_norm(lowering, float(lowering.argument(7, "eps")))


def _batch_norm_without_training(lowering: Lowering) -> int:
    return _batch_norm(lowering, float(lowering.argument(6, "eps")))


def _both(operator: str) -> Callable[[Lowering], int]:
    def lower(lowering: Lowering) -> int:
        sources = lowering.node.args[:2]
        if not all(isinstance(source, fx.Node) for source in sources) or lowering.node.kwargs.get("alpha", 1) != 1:
            raise NetworkError(f"{lowering.node.target} with a number has no counterpart in a bundle")
        left, right = lowering.value(0), lowering.value(1)
        if len(lowering.shape(0)) != len(lowering.shape(1)) or lowering.shape(0)[0] != lowering.shape(1)[0]:
            raise NetworkError(f"{operator} of shapes {lowering.shape(0)} and {lowering.shape(1)}, must be of one rank")
        return lowering.builder.add(operator, (left, right))

    return lower


def _simple(operator: str) -> Callable[[Lowering], int]:
    return lambda lowering: lowering.builder.add(operator, (lowering.value(),))


def _silu(lowering: Lowering) -> int:
    value = lowering.value()
    return lowering.builder.add("Mul", (value, lowering.builder.add("Sigmoid", (value,))))


def _clip(low: float | None, high: float | None) -> Callable[[Lowering], int]:
    def lower(lowering: Lowering) -> int:
        least = lowering.argument(1, "min", lowering.node.kwargs.get("min_val", low))
        most = lowering.argument(2, "max", lowering.node.kwargs.get("max_val", high))
        if least == 0 and most is None:
            return lowering.builder.add("Relu", (lowering.value(),))
        bounds = (-LARGEST_FLOAT32 if least is None else least, LARGEST_FLOAT32 if most is None else most)
        return lowering.builder.add("Clip", (lowering.value(),), {"bounds": (float(bounds[0]), float(bounds[1]))})

    return lower


def _max_pool(lowering: Lowering) -> int:
    if _pair(lowering.argument(4, "dilation", 1)) != (1, 1) or lowering.argument(5, "ceil_mode", False):
        raise NetworkError("MaxPool with dilation or ceil_mode has no counterpart in a bundle")
    return lowering.builder.add("MaxPool", (lowering.value(),), _window(lowering))


def _average_pool(lowering: Lowering) -> int:
    if lowering.argument(4, "ceil_mode", False) or lowering.argument(6, "divisor_override") is not None:
        raise NetworkError("AveragePool with ceil_mode or divisor_override has no counterpart in a bundle")
    counted = (int(bool(lowering.argument(5, "count_include_pad", True))),)
    return lowering.builder.add("AveragePool", (lowering.value(),), {**_window(lowering), "count_include_pad": counted})


def _window(lowering: Lowering) -> dict[str, tuple[float, ...]]:
    kernel = _pair(lowering.argument(1, "kernel_size"))
    strides = _pair(lowering.argument(2, "stride") or kernel)
    height, width = _pair(lowering.argument(3, "padding", 0))
    return {"kernel_shape": kernel, "strides": strides, "pads": (height, width, height, width)}


def _adaptive_average_pool(lowering: Lowering) -> int:
    size, wanted = tuple(int(side) for side in lowering.shape()[2:]), _pair(lowering.argument(1, "output_size"))
    if wanted == (1, 1):
        return lowering.builder.add("GlobalAveragePool", (lowering.value(),))
    if wanted == size:
        return lowering.value()
    if size[0] % wanted[0] or size[1] % wanted[1]:
        raise NetworkError(f"adaptive average pool from {size} to {wanted}, must divide")
    kernel = (size[0] // wanted[0], size[1] // wanted[1])
    window = {"kernel_shape": kernel, "strides": kernel, "pads": (0, 0, 0, 0), "count_include_pad": (1,)}
    return lowering.builder.add("AveragePool", (lowering.value(),), window)


def _mean(lowering: Lowering) -> int:
    rank = len(lowering.shape())
    if rank != 4 or sorted(dim % rank for dim in lowering.argument(1, "dim") or ()) != [2, 3]:
        raise NetworkError("mean must be over height and width")
    pooled = lowering.builder.add("GlobalAveragePool", (lowering.value(),))
    return pooled if lowering.argument(2, "keepdim", False) else lowering.builder.add("Flatten", (pooled,))


def _reshape(lowering: Lowering) -> int:
    """Any change of shape that keeps the batch and joins the rest is a Flatten."""
    before, after = lowering.shape(), lowering.out_shape
    if before == after:
        return lowering.value()
    if len(after) != 2 or after[0] != before[0] or after[1] != math.prod(before[1:]):
        raise NetworkError(f"change of shape {list(before)} to {list(after)}, must keep the batch and join the rest")
    return lowering.builder.add("Flatten", (lowering.value(),))


def _concat(lowering: Lowering) -> int:
    sources: Sequence[fx.Node] = lowering.node.args[0]  # type: ignore[assignment]
    rank = len(lowering.out_shape)
    if lowering.argument(1, "dim", 0) % rank != 1 or not all(source in lowering.values for source in sources):
        raise NetworkError("concatenation must be of computed values along the channels")
    values = tuple(lowering.values[source] for source in sources)
    return values[0] if len(values) == 1 else lowering.builder.add("Concat", values)


def _pad(lowering: Lowering) -> int:
    if lowering.node.target is torch.ops.aten.pad.default:
        mode, value = lowering.argument(2, "mode", "constant"), lowering.argument(3, "value")
    else:
        mode, value = "constant", lowering.argument(2, "value", 0)
    padding = [int(count) for count in lowering.argument(1, "pad")]
    if mode != "constant" or value or min(padding) < 0 or len(padding) > 6 or len(lowering.shape()) != 4:
        raise NetworkError("padding must add zeros to channels, height or width")
    if not any(padding):
        return lowering.value()
    padding += [0] * (6 - len(padding))  # begin and end of width, of height, of channels
    pads = (padding[4], padding[2], padding[0], padding[5], padding[3], padding[1])
    return lowering.builder.add("Pad", (lowering.value(),), {"pads": pads})


def _slice(lowering: Lowering) -> int:
    """A chain of slices is one Slice of what the first one reads."""
    source, ranges = _sliced(lowering.node)
    if source not in lowering.values:
        raise NetworkError("slice of a constant has no counterpart in a bundle")
    kept, full = ranges
    if kept == full:
        return lowering.values[source]
    if len(kept) != 3 or not all(kept):
        raise NetworkError("slice must keep part of the channels, height or width of [batch, channels, height, width]")
    attributes = {
        "starts": tuple(r.start for r in kept),
        "ends": tuple(r[-1] + 1 for r in kept),
        "steps": tuple(r.step for r in kept),
    }
    return lowering.builder.add("Slice", (lowering.values[source],), attributes)


def _sliced(node: fx.Node) -> tuple[fx.Node, tuple[tuple[range, ...], tuple[range, ...]]]:
    """(what is sliced, (indices kept, indices there are) of every dimension but the batch)."""
    if node.target is not torch.ops.aten.slice.Tensor:
        full = tuple(range(int(size)) for size in node.meta["val"].shape[1:])
        return node, (full, full)
    source, dim, start, end, step = (*node.args, *(0, None, None, 1)[len(node.args) - 1 :])
    assert isinstance(source, fx.Node)
    origin, (kept, full) = _sliced(source)
    dim = int(dim) % (len(full) + 1)  # type: ignore[call-overload]
    if dim == 0:
        if node.meta["val"].shape[0] != source.meta["val"].shape[0]:
            raise NetworkError("slice of the batch has no counterpart in a bundle")
        return origin, (kept, full)
    chosen = kept[dim - 1][slice(start, end, step)]  # type: ignore[misc]
    return origin, ((*kept[: dim - 1], chosen, *kept[dim:]), full)


def _same(lowering: Lowering) -> int:
    return lowering.value()


def _dropout(lowering: Lowering) -> int:
    if lowering.argument(2, "train", False):
        raise NetworkError("dropout in training mode has no counterpart in a bundle")
    return lowering.value()


LOWERINGS: dict[str, Callable[[Lowering], int]] = {
    "aten.conv2d.default": _conv_with_numbers,
    "aten.conv2d.padding": _conv_with_words,
    "aten.linear.default": _linear,
    "aten.addmm.default": _addmm,
    "aten.batch_norm.default": _batch_norm_of_module,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm_without_training,
    "aten.relu.default": _simple("Relu"),
    "aten.sigmoid.default": _simple("Sigmoid"),
    "aten.silu.default": _silu,
    "aten.relu6.default": _clip(0.0, 6.0),
    "aten.hardtanh.default": _clip(-1.0, 1.0),
    "aten.clamp.default": _clip(None, None),
    "aten.clamp_min.default": _clip(None, None),
    "aten.add.Tensor": _both("Add"),
    "aten.mul.Tensor": _both("Mul"),
    "aten.max_pool2d.default": _max_pool,
    "aten.max_pool2d_with_indices.default": _max_pool,
    "aten.avg_pool2d.default": _average_pool,
    "aten.adaptive_avg_pool2d.default": _adaptive_average_pool,
    "aten.mean.dim": _mean,
    "aten.flatten.using_ints": _reshape,
    "aten.view.default": _reshape,
    "aten._unsafe_view.default": _reshape,
    "aten.reshape.default": _reshape,
    "aten.squeeze.dim": _reshape,
    "aten.squeeze.dims": _reshape,
    "aten.cat.default": _concat,
    "aten.constant_pad_nd.default": _pad,
    "aten.pad.default": _pad,
    "aten.slice.Tensor": _slice,
    "aten.dropout.default": _dropout,
    "aten.alias.default": _same,
    "aten.clone.default": _same,
    "aten.contiguous.default": _same,
    "aten.detach.default": _same,
    "aten.lift_fresh_copy.default": _same,
}
