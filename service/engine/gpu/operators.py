"""The operators without weights. Values lie as [channel][row][column][picture], features as [feature][picture]."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from model_store.shapes import Shape
from service.engine.gpu.geometry import as_images, as_maps, border
from service.engine.gpu.layers import Candidate, Kernel
from service.engine.lowering import Step
from service.engine.windows import Windows


def operator_of(step: Step, input_shape: Shape, device: torch.device) -> Candidate:
    """The one way in which a step runs whose operator has no weight."""
    if step.node.operator == "AveragePool":
        return _average_pool(step, input_shape, device)
    return Candidate(step.node.operator, _BUILDERS[step.node.operator](step))


def _average_pool(step: Step, input_shape: Shape, device: torch.device) -> Candidate:
    windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)
    factor = None
    if step.node.ints("count_include_pad") == (0,) and any(windows.pads):
        shares = np.float32(math.prod(windows.kernel)) / windows.counts(*input_shape[1:])
        factor = torch.from_numpy(shares[:, :, np.newaxis]).to(device)

    def run(maps: Tensor) -> Tensor:
        padded = as_images(functional.pad(maps, border(windows)))
        means = as_maps(functional.avg_pool2d(padded, windows.kernel, windows.strides))
        return means if factor is None else means * factor

    return Candidate(step.node.operator, run, () if factor is None else (factor,))


def _max_pool(step: Step) -> Kernel:
    windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)

    def run(maps: Tensor) -> Tensor:
        padded = as_images(functional.pad(maps, border(windows), value=-math.inf))
        return as_maps(functional.max_pool2d(padded, windows.kernel, windows.strides))

    return run


def _clip(step: Step) -> Kernel:
    low, high = step.node.attributes["bounds"]
    return lambda value: value.clamp(low, high)


def _pad(step: Step) -> Kernel:
    channel, top, left, channel_end, bottom, right = step.node.ints("pads")
    return lambda maps: functional.pad(maps, (0, 0, left, right, top, bottom, channel, channel_end))


def _slice(step: Step) -> Kernel:
    bounds = zip(*(step.node.ints(name) for name in ("starts", "ends", "steps")), strict=True)
    window = tuple(slice(*bound) for bound in bounds)
    return lambda maps: maps[window]


_BUILDERS: dict[str, Callable[[Step], Kernel]] = {
    "Relu": lambda step: torch.relu,
    "Clip": _clip,
    "Sigmoid": lambda step: torch.sigmoid,
    "Add": lambda step: torch.add,
    "Mul": lambda step: torch.mul,
    "MaxPool": _max_pool,
    "GlobalAveragePool": lambda step: lambda maps: maps.mean(dim=(1, 2), keepdim=True),
    "Flatten": lambda step: lambda maps: maps.reshape(-1, maps.shape[-1]),
    "Concat": lambda step: lambda *values: torch.cat(values, dim=0),
    "Pad": _pad,
    "Slice": _slice,
}
