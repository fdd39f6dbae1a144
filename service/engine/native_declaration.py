"""How each step is said to the native engine: numbers, sides and non-zeros of the layers that its builder knows."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from model_store.graph import INPUT
from model_store.shapes import Shape
from model_store.tensors import SharedTensor, Tensor
from service.engine import _native
from service.engine.lowering import Step
from service.errors import EngineUnavailable

Sides = tuple[int, int, int]

_NO_FLOATS = np.zeros(0, dtype=np.float32)
_NO_CODES = np.zeros(0, dtype=np.uint16)
_NO_BOUNDS = (-math.inf, math.inf)
_ONES = (1, 1, 1)


def compile_steps(input_shape: Sides, steps: tuple[Step, ...], instruction_set: str, threads: int) -> _native.Plan:
    """Declare every step, and make the plan.

    Raises:
        EngineUnavailable: the network's activations are too large for this engine.
    """
    builder = _native.Builder(input_shape)
    numbers = {INPUT: 0}
    shapes: dict[int, Shape] = {INPUT: input_shape}
    for step in steps:
        declare = _DECLARE[step.node.operator]
        numbers[step.output] = declare(builder, step, numbers, [_sides(shapes[value]) for value in step.inputs])
        shapes[step.output] = step.shape
        for value in step.frees:
            builder.free(numbers[value])
    try:
        return builder.compile(instruction_set, threads)
    except RuntimeError as error:
        raise EngineUnavailable(f"native engine: {error}") from None


def _sides(shape: Shape) -> Sides:
    """Features are a map of one pixel."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (shape[0], 1, 1)


def _convolution(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    assert step.weight is not None  # Node checks it
    positions, codes, values = _nonzeros(step.weight)
    linear = step.node.operator == "Gemm"
    kernel = (1, 1) if linear else step.weight.shape[2:]
    pads = (0, 0) if linear else step.node.ints("pads")[:2]
    return builder.convolution(
        numbers[step.inputs[0]],
        _sides(step.shape),
        positions,
        codes,
        values,
        _NO_FLOATS if step.scale is None else step.scale,
        _NO_FLOATS if step.bias is None else step.bias,
        (kernel[0], kernel[1]),
        (1, 1) if linear else _pair(step, "strides"),
        (1, 1) if linear else _pair(step, "dilations"),
        (pads[0], pads[1]),
        1 if linear else step.node.ints("group")[0],
        _residual(step, numbers),
        step.bounds or _NO_BOUNDS,
    )


def _nonzeros(weight: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of what is not zero: row-major positions int32; codes uint16 and the values float32 that they index, or no codes
    and a value for every position."""
    if isinstance(weight, SharedTensor) and weight.nonzeros:
        return weight.positions, weight.codes, weight.codebook.astype(np.float32)
    if isinstance(weight, SharedTensor):
        return weight.positions, weight.codes, _NO_FLOATS
    flat = weight.to_dense().reshape(-1)
    positions = np.flatnonzero(flat).astype(np.int32)
    return positions, _NO_CODES, flat[positions]


def _residual(step: Step, numbers: Mapping[int, int]) -> int:
    return -1 if step.residual is None else numbers[step.residual]


def _pair(step: Step, attribute: str) -> tuple[int, int]:
    first, second = step.node.ints(attribute)[:2]
    return first, second


def _triple(values: tuple[int, ...]) -> Sides:
    first, second, third = values
    return first, second, third


def _normalization(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    assert step.scale is not None  # Node checks it
    assert step.bias is not None
    residual = _residual(step, numbers)
    return builder.normalization(numbers[step.inputs[0]], step.scale, step.bias, residual, step.bounds or _NO_BOUNDS)


def _clamp(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    bounds = (0.0, math.inf) if step.node.operator == "Relu" else step.node.attributes["bounds"]
    return builder.clamp(numbers[step.inputs[0]], (bounds[0], bounds[1]))


def _sigmoid(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    return builder.sigmoid(numbers[step.inputs[0]])


def _combination(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    first, second = (numbers[value] for value in step.inputs)
    return builder.combination(step.node.operator == "Mul", first, second)


def _pool(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    maximum = step.node.operator == "MaxPool"
    return builder.pool(
        maximum,
        numbers[step.inputs[0]],
        _sides(step.shape),
        _pair(step, "kernel_shape"),
        _pair(step, "strides"),
        _pair(step, "pads"),
        not maximum and step.node.ints("count_include_pad") == (1,),
    )


def _global_average(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    return builder.global_average(numbers[step.inputs[0]])


def _flatten(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    return builder.flatten(numbers[step.inputs[0]])


def _concat(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    parts = []
    channel = 0
    for value, sides in zip(step.inputs, inputs, strict=True):
        parts.append((numbers[value], (0, 0, 0), _ONES, sides, (channel, 0, 0)))
        channel += sides[0]
    return builder.assembly(parts, _sides(step.shape))


def _pad(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    part = (numbers[step.inputs[0]], (0, 0, 0), _ONES, inputs[0], _triple(step.node.ints("pads")[:3]))
    return builder.assembly([part], _sides(step.shape))


def _slice(builder: _native.Builder, step: Step, numbers: Mapping[int, int], inputs: list[Sides]) -> int:
    starts, steps = _triple(step.node.ints("starts")), _triple(step.node.ints("steps"))
    part = (numbers[step.inputs[0]], starts, steps, _sides(step.shape), (0, 0, 0))
    return builder.assembly([part], _sides(step.shape))


_Declare = Callable[[_native.Builder, Step, Mapping[int, int], list[Sides]], int]

_DECLARE: dict[str, _Declare] = {
    "Conv": _convolution,
    "Gemm": _convolution,
    "BatchNormalization": _normalization,
    "Relu": _clamp,
    "Clip": _clamp,
    "Sigmoid": _sigmoid,
    "Add": _combination,
    "Mul": _combination,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_average,
    "Flatten": _flatten,
    "Concat": _concat,
    "Pad": _pad,
    "Slice": _slice,
}
