"""The ways in which a Conv or a Gemm can run on a device: candidates, between which the plan chooses by measuring."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from model_store.shapes import Shape
from model_store.tensors import SharedTensor
from service.engine.gpu.csr import DeviceCsr
from service.engine.gpu.devices import runs_triton
from service.engine.gpu.epilogue import Epilogue
from service.engine.gpu.geometry import Geometry, as_images, as_maps, border
from service.engine.gpu.options import BLOCKS, SPARSE_PRODUCT, TorchOptions
from service.engine.gpu.resident import ResidentTensor
from service.engine.lowering import Step

# Of random numbers through one layer: rounding in another order, operands of 11 bits, and of 8.
TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2}

Kernel = Callable[..., Tensor]
"""Takes the values a step reads (its inputs, then the residual), and returns a new value or a view of one."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One way to run a step.

    Attributes:
        run: the step's operator with its epilogue.
        held: what it keeps on the device beyond scale and bias. Candidates of a step may share tensors.
        tolerance: how far its answers may lie from the plainest candidate's, in shares of the largest number.
    """

    name: str
    run: Kernel
    held: tuple[Tensor, ...] = ()
    tolerance: float = TOLERANCES["float32"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A Conv or a Gemm on its device.

    Attributes:
        input_shape: its input's, without the batch.
    """

    step: Step
    input_shape: Shape
    epilogue: Epilogue
    device: torch.device

    def candidates(self, options: TorchOptions) -> list[Candidate]:
        """Those that the device runs and the options allow, at least one; the plainest first."""
        weight = self.step.weight
        assert weight is not None  # Node checks it
        if isinstance(weight, SharedTensor):
            csr = weight.csr if isinstance(weight, ResidentTensor) else DeviceCsr.of_tensor(weight, self.device)
            found = self._sparse(csr, options)
            dense = csr.to_dense().view(weight.shape)
        else:
            found = []
            dense = torch.from_numpy(weight.to_dense()).to(self.device)
        found += [self._dense(dense, precision) for precision in options.dense_precisions]
        return [candidate for candidate in found if options.allows(candidate.name)] or found[:1]

    def _sparse(self, csr: DeviceCsr, options: TorchOptions) -> list[Candidate]:
        geometry = Geometry.of(self.step, self.input_shape)
        group = 1 if self.step.node.operator == "Gemm" else self.step.node.ints("group")[0]
        grouped = csr.grouped(group)
        found = [_sparse_product(grouped, geometry, self.epilogue)]
        if geometry.fits_direct and runs_triton(self.device):
            from service.engine.gpu.direct import Direct

            direct = Direct.of(grouped, geometry, self.epilogue)
            found += [Candidate(f"direct-{block}", direct.with_block(block), direct.held) for block in BLOCKS]
        return found

    def _dense(self, weight: Tensor, precision: str) -> Candidate:
        name = f"dense-{precision}"
        if precision == "bfloat16":
            weight = weight.bfloat16()
        if self.step.node.operator == "Gemm":
            return Candidate(name, _dense_linear(weight, self.epilogue), (weight,), TOLERANCES[precision])
        if precision != "float32":
            weight = weight.contiguous(memory_format=torch.channels_last)  # what tensor cores read
        return Candidate(name, self._dense_convolution(weight, precision), (weight,), TOLERANCES[precision])

    def _dense_convolution(self, weight: Tensor, precision: str) -> Kernel:
        windows = Geometry.of(self.step, self.input_shape).windows
        top, left, bottom, right = windows.pads
        even = (top, left) == (bottom, right)
        padding = (top, left) if even else (0, 0)
        (group,) = self.step.node.ints("group")
        order = torch.contiguous_format if precision == "float32" else torch.channels_last
        epilogue = self.epilogue  # a function that kept the layer would keep its weight as it came

        def run(maps: Tensor, residual: Tensor | None = None) -> Tensor:
            images = as_images(maps if even else functional.pad(maps, border(windows)))
            images = images.to(weight.dtype).contiguous(memory_format=order)
            product = functional.conv2d(images, weight, None, windows.strides, padding, windows.dilations, group)
            return epilogue.apply(as_maps(product.float()), residual)

        return run


def _sparse_product(csr: DeviceCsr, geometry: Geometry, epilogue: Epilogue) -> Candidate:
    """im2col and a product of torch's sparse matrix: slow, and right on every device."""
    matrix = csr.to_torch()

    def run(value: Tensor, residual: Tensor | None = None) -> Tensor:
        product = matrix @ geometry.columns(geometry.pad(value))
        linear = value.ndim == 2
        return epilogue.apply(
            product if linear else product.view(-1, *geometry.windows.size, value.shape[-1]), residual
        )

    return Candidate(SPARSE_PRODUCT, run, (csr.indptr, csr.indices, csr.values))


def _dense_linear(weight: Tensor, epilogue: Epilogue) -> Kernel:
    def run(features: Tensor, residual: Tensor | None = None) -> Tensor:
        return epilogue.apply((weight @ features.to(weight.dtype)).float(), residual)

    return run
