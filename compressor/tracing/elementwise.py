"""Operators that work element by element, and those that do nothing at inference."""

from torch import fx

from compressor.errors import NetworkError
from compressor.tracing.lowering import Lowering, Rule

LARGEST_FLOAT32 = 3.4028234663852886e38


def both(operator: str) -> Rule:
    def lower(lowering: Lowering) -> int:
        sources = lowering.node.args[:2]
        if not all(isinstance(source, fx.Node) for source in sources) or lowering.node.kwargs.get("alpha", 1) != 1:
            raise NetworkError(f"{lowering.node.target} with a number has no counterpart in a bundle")
        left, right = lowering.value(0), lowering.value(1)
        if len(lowering.shape(0)) != len(lowering.shape(1)) or lowering.shape(0)[0] != lowering.shape(1)[0]:
            raise NetworkError(f"{operator} of shapes {lowering.shape(0)} and {lowering.shape(1)}, must be of one rank")
        return lowering.builder.add(operator, (left, right))

    return lower


def simple(operator: str) -> Rule:
    return lambda lowering: lowering.builder.add(operator, (lowering.value(),))


def silu(lowering: Lowering) -> int:
    value = lowering.value()
    return lowering.builder.add("Mul", (value, lowering.builder.add("Sigmoid", (value,))))


def clip(low: float | None, high: float | None) -> Rule:
    def lower(lowering: Lowering) -> int:
        least = lowering.argument(1, "min", lowering.node.kwargs.get("min_val", low))
        most = lowering.argument(2, "max", lowering.node.kwargs.get("max_val", high))
        if least == 0 and most is None:
            return lowering.builder.add("Relu", (lowering.value(),))
        bounds = (-LARGEST_FLOAT32 if least is None else least, LARGEST_FLOAT32 if most is None else most)
        return lowering.builder.add("Clip", (lowering.value(),), {"bounds": (float(bounds[0]), float(bounds[1]))})

    return lower


def same(lowering: Lowering) -> int:
    return lowering.value()


def dropout(lowering: Lowering) -> int:
    if lowering.argument(2, "train", False):
        raise NetworkError("dropout in training mode has no counterpart in a bundle")
    return lowering.value()
