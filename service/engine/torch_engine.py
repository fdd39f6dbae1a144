"""The torch engine: weights as `torch.sparse_csr_tensor`s on a device, convolution as unfold and a sparse product.

The only module of the service that imports torch. Values lie as in the numpy engine: channels first, then the batch.
"""

import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from model_store.bundle import Bundle
from model_store.graph import INPUT
from model_store.shapes import Shape
from model_store.sparse import CsrMatrix
from model_store.tensors import SharedTensor
from service.engine.lowering import ByteAccount, Step, lower
from service.engine.plan import Array, check_batch
from service.engine.windows import Windows
from service.errors import EngineUnavailable

_Kernel = Callable[..., Tensor]


class TorchPlan:
    """A bundle on a torch device."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        """Move a bundle's weights to a device.

        Raises:
            EngineUnavailable: torch knows no such device, or it is not there.
        """
        self._device = _find_device(device)
        self.name = f"torch on {self._device}"
        self.input_shape = bundle.preprocessing.input_shape
        self.classes = len(bundle.class_names)
        self._account = ByteAccount(bundle.graph)
        self._steps = lower(bundle)
        shapes: dict[int, Shape] = {INPUT: self.input_shape} | {step.output: step.shape for step in self._steps}
        self._kernels = [self._bind(step, [shapes[value] for value in step.inputs]) for step in self._steps]
        self.layer_bytes: Mapping[str, int] = self._account.layers
        self.resident_bytes = self._account.total

    def run(self, batch: Array) -> Array:
        """Logits float32 [n, classes] of float32 [n, channels, height, width].

        Raises:
            EngineFailure: the batch has another type or shape.
        """
        check_batch(batch, self.input_shape)
        with torch.inference_mode():
            values = {INPUT: torch.from_numpy(batch).to(self._device).transpose(0, 1)}
            for step, kernel in zip(self._steps, self._kernels, strict=True):
                result = kernel(*(values[value] for value in step.reads))
                for value in step.frees:
                    del values[value]
                values[step.output] = result
            return np.ascontiguousarray(result.T.cpu().numpy())

    def _bind(self, step: Step, input_shapes: list[Shape]) -> _Kernel:
        if step.node.operator == "Conv":
            return self._with_epilogue(step, self._conv(step))
        if step.node.operator == "Gemm":
            weight = self._matrix(step)
            return self._with_epilogue(step, lambda features: weight @ features)
        if step.node.operator == "BatchNormalization":
            return self._with_epilogue(step, lambda value: value)
        if step.node.operator == "AveragePool":
            return self._average_pool(step, input_shapes[0])
        return _BUILDERS[step.node.operator](step)

    def _conv(self, step: Step) -> _Kernel:
        assert step.weight is not None  # Node checks it
        (group,) = step.node.ints("group")
        windows = Windows.of(step.node, step.weight.shape[2:], step.shape)
        border = _border(windows)
        if not isinstance(step.weight, SharedTensor):
            dense = self._keep(step, "weight", step.weight.to_dense())

            def run_dense(maps: Tensor) -> Tensor:
                padded = functional.pad(maps, border).transpose(0, 1)
                product = functional.conv2d(padded, dense, None, windows.strides, 0, windows.dilations, group)
                return product.transpose(0, 1)

            return run_dense
        weight = self._matrix(step, group)

        def run_sparse(maps: Tensor) -> Tensor:
            padded = functional.pad(maps, border).transpose(0, 1)
            columns = functional.unfold(padded, windows.kernel, windows.dilations, 0, windows.strides)
            product = weight @ columns.transpose(0, 1).reshape(columns.shape[1], -1)
            return product.reshape(-1, maps.shape[1], *windows.size)

        return run_sparse

    def _matrix(self, step: Step, group: int = 1) -> Tensor:
        """The weight as a matrix: sparse where the bundle holds it sparse, block diagonal where there are groups."""
        assert step.weight is not None  # Node checks it
        if not isinstance(step.weight, SharedTensor):
            return self._keep(step, "weight", step.weight.to_dense())
        csr = _block_diagonal(step.weight.to_csr(), group)
        self._account.add(step, "weight", 4 * (len(csr.indptr) + 2 * len(csr.indices)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state", UserWarning)
            return torch.sparse_csr_tensor(
                torch.from_numpy(csr.indptr.astype(np.int32)),
                torch.from_numpy(csr.indices),
                torch.from_numpy(csr.values),
                size=csr.shape,
                device=self._device,
                check_invariants=True,
            )

    def _with_epilogue(self, step: Step, operator: _Kernel) -> _Kernel:
        """Scale, bias, residual and bounds behind an operator."""
        shape = (-1, *(1 for _ in step.shape))
        scale = None if step.scale is None else self._keep(step, "scale", step.scale.reshape(shape))
        bias = None if step.bias is None else self._keep(step, "bias", step.bias.reshape(shape))

        def run(value: Tensor, residual: Tensor | None = None) -> Tensor:
            result = operator(value)
            if scale is not None:
                result = result * scale
            if bias is not None:
                result = result + bias
            if residual is not None:
                result = result + residual
            return result if step.bounds is None else result.clamp(*step.bounds)

        return run

    def _average_pool(self, step: Step, input_shape: Shape) -> _Kernel:
        windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)
        border = _border(windows)
        factor = None
        if step.node.ints("count_include_pad") == (0,) and any(border):
            factor = self._keep(
                step, "counts", np.float32(math.prod(windows.kernel)) / windows.counts(*input_shape[1:])
            )

        def run(maps: Tensor) -> Tensor:
            means = functional.avg_pool2d(functional.pad(maps, border), windows.kernel, windows.strides)
            return means if factor is None else means * factor

        return run

    def _keep(self, step: Step, role: str, array: Array) -> Tensor:
        self._account.add(step, role, array.nbytes)
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EngineUnavailable(f'device "{name}": torch cannot use it: {reason}') from None
    return device


def _block_diagonal(csr: CsrMatrix, group: int) -> CsrMatrix:
    """The rows of each group moved to the columns of that group's channels: one product does all groups."""
    if group == 1:
        return csr
    rows, columns = csr.shape
    block_of_row = np.arange(rows) // (rows // group)
    shift = np.repeat(block_of_row * columns, np.diff(csr.indptr)).astype(np.int32)
    return CsrMatrix((rows, columns * group), csr.indptr, csr.indices + shift, csr.values)


def _border(windows: Windows) -> tuple[int, int, int, int]:
    """Pads as torch orders them: left, right, top, bottom."""
    top, left, bottom, right = windows.pads
    return left, right, top, bottom


def _max_pool(step: Step) -> _Kernel:
    windows = Windows.of(step.node, step.node.ints("kernel_shape"), step.shape)
    border = _border(windows)

    def run(maps: Tensor) -> Tensor:
        return functional.max_pool2d(functional.pad(maps, border, value=-math.inf), windows.kernel, windows.strides)

    return run


def _clip(step: Step) -> _Kernel:
    low, high = step.node.attributes["bounds"]
    return lambda value: value.clamp(low, high)


def _pad(step: Step) -> _Kernel:
    channel, top, left, channel_end, bottom, right = step.node.ints("pads")
    return lambda maps: functional.pad(maps, (left, right, top, bottom, 0, 0, channel, channel_end))


def _slice(step: Step) -> _Kernel:
    bounds = zip(*(step.node.ints(name) for name in ("starts", "ends", "steps")), strict=True)
    channels, rows, columns = (slice(*bound) for bound in bounds)
    return lambda maps: maps[channels, :, rows, columns]


def _flatten(step: Step) -> _Kernel:
    features = step.shape[0]
    return lambda maps: maps if maps.ndim == 2 else maps.permute(0, 2, 3, 1).reshape(features, maps.shape[1])


_BUILDERS: dict[str, Callable[[Step], _Kernel]] = {
    "Relu": lambda step: torch.relu,
    "Clip": _clip,
    "Sigmoid": lambda step: torch.sigmoid,
    "Add": lambda step: torch.add,
    "Mul": lambda step: torch.mul,
    "MaxPool": _max_pool,
    "GlobalAveragePool": lambda step: lambda maps: maps.mean(dim=(2, 3), keepdim=True),
    "Flatten": _flatten,
    "Concat": lambda step: lambda *values: torch.cat(values, dim=0),
    "Pad": _pad,
    "Slice": _slice,
}
