"""Operators that move values and compute nothing: flatten, concatenate, pad, slice."""

import math
from typing import Any

import torch
from torch import fx

from compressor.errors import NetworkError
from compressor.tracing.lowering import Lowering


def reshape(lowering: Lowering) -> int:
    """Any change of shape that keeps the batch and joins the rest is a Flatten."""
    before, after = lowering.shape(), lowering.out_shape
    if before == after:
        return lowering.value()
    if len(after) != 2 or after[0] != before[0] or after[1] != math.prod(before[1:]):
        raise NetworkError(f"change of shape {list(before)} to {list(after)}, must keep the batch and join the rest")
    return lowering.builder.add("Flatten", (lowering.value(),))


def concat(lowering: Lowering) -> int:
    sources: Any = lowering.node.args[0]
    rank = len(lowering.out_shape)
    if lowering.argument(1, "dim", 0) % rank != 1 or not all(source in lowering.values for source in sources):
        raise NetworkError("concatenation must be of computed values along the channels")
    values = tuple(lowering.values[source] for source in sources)
    return values[0] if len(values) == 1 else lowering.builder.add("Concat", values)


def pad(lowering: Lowering) -> int:
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


def slice(lowering: Lowering) -> int:
    """A chain of slices is one Slice of what the first one reads."""
    source, ranges = _sliced(lowering.node)
    if source not in lowering.values:
        raise NetworkError("slice of a constant has no counterpart in a bundle")
    kept, full = ranges
    if kept == full:
        return lowering.values[source]
    if len(kept) != 3 or not all(kept):  # an empty range is False
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
    arguments: list[Any] = [*node.args, *(0, None, None, 1)[len(node.args) - 1 :]]
    source, dim, start, end, step = arguments
    origin, (kept, full) = _sliced(source)
    dim = dim % (len(full) + 1)
    if dim == 0:
        if node.meta["val"].shape[0] != source.meta["val"].shape[0]:
            raise NetworkError("slice of the batch has no counterpart in a bundle")
        return origin, (kept, full)
    chosen = kept[dim - 1][start:end:step]
    return origin, ((*kept[: dim - 1], chosen, *kept[dim:]), full)
