"""The operators in numpy, with ONNX semantics.

Values lie channel by channel, [channels, n, height, width] or [features, n]: the matrix product of a convolution then
makes its output in place for the next one, for a whole batch at once, and every operator finds channels on axis 0.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from model_store.shapes import Shape
from service.engine.lowering import Step
from service.engine.plan import Array
from service.engine.windows import Windows

Kernel = Callable[..., Array]
"""Takes the values a step reads (its inputs, then the residual), and returns a new value or a view of one."""

_COLUMN_ELEMENTS = 1 << 20  # of one im2col matrix: 4 MiB, about what stays in a core's cache


def build_kernel(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    """The step's function, and the arrays it holds by what they are: "weight", "bias", "counts"."""
    return _BUILDERS[step.node.operator](step, input_shapes)


def _conv(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    (group,) = step.node.ints("group")
    assert step.weight is not None  # a Conv has one: Node checks it
    outputs = step.weight.shape[0]
    windows = Windows.of(step.node, step.weight.shape[2:], step.shape)
    weight = np.ascontiguousarray(_scaled(step).reshape(group, outputs // group, -1))
    finish = _epilogue(step)
    elements = math.prod(weight.shape[::2]) * math.prod(windows.size)
    pictures = max(1, _COLUMN_ELEMENTS // elements)

    def run(maps: Array, *residual: Array) -> Array:
        count = maps.shape[1]
        if count <= pictures:
            return finish(_convolve(maps, weight, windows), *residual)
        result = np.empty((outputs, count, *windows.size), dtype=np.float32)
        for first in range(0, count, pictures):
            part = slice(first, first + pictures)
            result[:, part] = _convolve(maps[:, part], weight, windows)
        return finish(result, *residual)

    return run, _held(step, weight)


def _convolve(maps: Array, weight: Array, windows: Windows) -> Array:
    group, outputs, depth = weight.shape
    columns = _columns(maps, windows).reshape(group, depth, -1)
    product = weight[0] @ columns[0] if group == 1 else weight @ columns
    return product.reshape(group * outputs, maps.shape[1], *windows.size)


def _columns(maps: Array, windows: Windows) -> Array:
    """im2col: [channels, kernel height, kernel width, n, height, width]."""
    channels, count = maps.shape[:2]
    if windows.is_pointwise:
        return maps
    padded = windows.pad(maps, 0.0)
    columns = np.empty((channels, *windows.kernel, count, *windows.size), dtype=np.float32)
    for row, column, rows, across in windows.taps():
        columns[:, row, column] = padded[:, :, rows, across]
    return columns


def _gemm(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    weight = _scaled(step)
    finish = _epilogue(step)

    def run(features: Array, *residual: Array) -> Array:
        return finish(weight @ features, *residual)

    return run, _held(step, weight)


def _normalization(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    assert step.scale is not None  # Node checks it
    scale = _per_channel(step.scale, step.shape)
    finish = _epilogue(step)

    def run(value: Array, *residual: Array) -> Array:
        return finish(value * scale, *residual)

    return run, _held(step, scale)


def _scaled(step: Step) -> Array:
    """The weight as a dense matrix [outputs, ...], with the step's scale multiplied in."""
    assert step.weight is not None  # a Conv or Gemm has one: Node checks it
    weight = step.weight.to_dense().reshape(step.weight.shape[0], -1)
    return weight if step.scale is None else weight * step.scale[:, None]


def _held(step: Step, weight: Array) -> Mapping[str, Array]:
    return {"weight": weight} if step.bias is None else {"weight": weight, "bias": step.bias}


def _per_channel(values: Array, shape: Shape) -> Array:
    return values.reshape(-1, *(1 for _ in shape))


def _epilogue(step: Step) -> Kernel:
    """Bias, residual and bounds, in place on what the operator made."""
    bias = None if step.bias is None else _per_channel(step.bias, step.shape)
    bounds = step.bounds

    def finish(value: Array, residual: Array | None = None) -> Array:
        if bias is not None:
            value += bias
        if residual is not None:
            value += residual
        return value if bounds is None else _clamp(value, bounds, value)

    return finish


def _clamp(value: Array, bounds: tuple[float, float], out: Array | None) -> Array:
    low, high = bounds
    if high == math.inf:
        return np.maximum(value, np.float32(low), out=out)
    return np.clip(value, np.float32(low), np.float32(high), out=out)


def _relu(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    return lambda value: _clamp(value, (0.0, math.inf), None), {}


def _clip(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    low, high = step.node.attributes["bounds"]
    return lambda value: _clamp(value, (low, high), None), {}


def _sigmoid(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    half = np.float32(0.5)
    return lambda value: half * np.tanh(half * value) + half, {}  # does not overflow, as exp(-value) does


def _add(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    return np.add, {}


def _mul(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    return np.multiply, {}


def _max_pool(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)

    def run(maps: Array) -> Array:
        padded = windows.pad(maps, -math.inf)
        result = np.full((*maps.shape[:2], *windows.size), -math.inf, dtype=np.float32)
        for _, _, rows, columns in windows.taps():
            np.maximum(result, padded[:, :, rows, columns], out=result)
        return result

    return run, {}


def _average_pool(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)
    if step.node.ints("count_include_pad") == (1,):
        counts = np.full((1, 1), math.prod(windows.kernel), dtype=np.float32)
    else:
        counts = windows.counts(*input_shapes[0][1:])

    def run(maps: Array) -> Array:
        padded = windows.pad(maps, 0.0)
        result = np.zeros((*maps.shape[:2], *windows.size), dtype=np.float32)
        for _, _, rows, columns in windows.taps():
            result += padded[:, :, rows, columns]
        result /= counts
        return result

    return run, {"counts": counts}


def _global_average_pool(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    def run(maps: Array) -> Array:
        mean: Array = maps.mean(axis=(2, 3), keepdims=True, dtype=np.float32)
        return mean

    return run, {}


def _flatten(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    if len(input_shapes[0]) == 1:
        return lambda features: features, {}
    features = step.shape[0]
    return lambda maps: maps.transpose(0, 2, 3, 1).reshape(features, maps.shape[1]), {}


def _concat(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    return lambda *values: np.concatenate(values, axis=0), {}


def _pad(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    before, after = step.node.ints("pads")[:3], step.node.ints("pads")[3:]
    channel, vertical, horizontal = zip(before, after, strict=True)
    return lambda maps: np.pad(maps, (channel, (0, 0), vertical, horizontal)), {}


def _slice(step: Step, input_shapes: list[Shape]) -> tuple[Kernel, Mapping[str, Array]]:
    bounds = zip(*(step.node.ints(name) for name in ("starts", "ends", "steps")), strict=True)
    channels, rows, columns = (slice(*bound) for bound in bounds)
    return lambda maps: maps[channels, :, rows, columns], {}


_BUILDERS: dict[str, Callable[[Step, list[Shape]], tuple[Kernel, Mapping[str, Array]]]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "BatchNormalization": _normalization,
    "Relu": _relu,
    "Clip": _clip,
    "Sigmoid": _sigmoid,
    "Add": _add,
    "Mul": _mul,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "Flatten": _flatten,
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
}
