"""Pooling windows and means over the whole picture."""

from compressor.errors import NetworkError
from compressor.tracing.lowering import Lowering, pair


def max_pool(lowering: Lowering) -> int:
    if pair(lowering.argument(4, "dilation", 1)) != (1, 1):
        raise NetworkError("MaxPool with dilation has no counterpart in a bundle")
    window = _window(lowering)
    if lowering.argument(5, "ceil_mode", False):
        window["pads"] = _pads_to_the_last_window(lowering, window)
    return lowering.builder.add("MaxPool", (lowering.value(),), window)


def _pads_to_the_last_window(lowering: Lowering, window: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """ceil_mode lets the last window hang over the edge: as much padding more, at the bottom and the right."""
    top, left, bottom, right = window["pads"]
    over = []
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        size, windows = int(lowering.shape()[2 + axis]), int(lowering.out_shape[2 + axis])
        reached = (windows - 1) * window["strides"][axis] + window["kernel_shape"][axis]
        over.append(max(after, reached - size - before))
    return (top, left, *over)


def average_pool(lowering: Lowering) -> int:
    if lowering.argument(4, "ceil_mode", False) or lowering.argument(6, "divisor_override") is not None:
        raise NetworkError("AveragePool with ceil_mode or divisor_override has no counterpart in a bundle")
    counted = (int(bool(lowering.argument(5, "count_include_pad", True))),)
    return lowering.builder.add("AveragePool", (lowering.value(),), {**_window(lowering), "count_include_pad": counted})


def _window(lowering: Lowering) -> dict[str, tuple[int, ...]]:
    kernel = pair(lowering.argument(1, "kernel_size"))
    strides = pair(lowering.argument(2, "stride") or kernel)
    height, width = pair(lowering.argument(3, "padding", 0))
    return {"kernel_shape": kernel, "strides": strides, "pads": (height, width, height, width)}


def adaptive_average_pool(lowering: Lowering) -> int:
    size, wanted = tuple(int(side) for side in lowering.shape()[2:]), pair(lowering.argument(1, "output_size"))
    if wanted == (1, 1):
        return lowering.builder.add("GlobalAveragePool", (lowering.value(),))
    if wanted == size:
        return lowering.value()
    if size[0] % wanted[0] or size[1] % wanted[1]:
        raise NetworkError(f"adaptive average pool from {size} to {wanted}, must divide")
    kernel = (size[0] // wanted[0], size[1] // wanted[1])
    window = {"kernel_shape": kernel, "strides": kernel, "pads": (0, 0, 0, 0), "count_include_pad": (1,)}
    return lowering.builder.add("AveragePool", (lowering.value(),), window)


def mean(lowering: Lowering) -> int:
    rank = len(lowering.shape())
    if rank != 4 or sorted(dim % rank for dim in lowering.argument(1, "dim") or ()) != [2, 3]:
        raise NetworkError("mean must be over height and width")
    pooled = lowering.builder.add("GlobalAveragePool", (lowering.value(),))
    return pooled if lowering.argument(2, "keepdim", False) else lowering.builder.add("Flatten", (pooled,))
