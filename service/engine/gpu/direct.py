"""The direct sparse convolution of one layer: what its Triton kernel reads, and how it is launched."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from service.engine.gpu.csr import DeviceCsr
from service.engine.gpu.direct_kernel import UNROLLED, convolve
from service.engine.gpu.epilogue import Epilogue
from service.engine.gpu.geometry import Geometry


def warps_of(block: int) -> int:
    """Up to four positions a thread share the loads of weight and offset."""
    return max(1, block // 128)


@dataclass(frozen=True, slots=True, eq=False)
class Direct:
    """One layer.

    Attributes:
        indptr, values: of the weight's compressed rows.
        offsets: int32 [nonzeros], `DeviceCsr.input_offsets`.
        order: int32 [rows], rows by falling count of non-zeros.
    """

    indptr: Tensor
    offsets: Tensor
    values: Tensor
    order: Tensor
    geometry: Geometry
    epilogue: Epilogue

    @classmethod
    def of(cls, csr: DeviceCsr, geometry: Geometry, epilogue: Epilogue) -> "Direct":
        """Of a weight whose groups stand block by block (`DeviceCsr.grouped`)."""
        windows = geometry.windows
        offsets = csr.input_offsets(windows.kernel, windows.dilations, geometry.padded[1:])
        order = torch.argsort(csr.indptr.diff(), descending=True, stable=True).to(torch.int32)
        return cls(csr.indptr, offsets, csr.values, order, geometry, epilogue)

    @property
    def held(self) -> tuple[Tensor, ...]:
        """What it keeps on the device."""
        return self.indptr, self.offsets, self.values, self.order

    def with_block(self, block: int) -> Callable[..., Tensor]:
        """The step's function, with programs of so many positions."""

        def run(value: Tensor, residual: Tensor | None = None) -> Tensor:
            return self._launch(value, residual, block)

        return run

    def _launch(self, value: Tensor, residual: Tensor | None, block: int) -> Tensor:
        windows, width = self.geometry.windows, self.geometry.padded[2]
        padded = self.geometry.pad(value)
        count = value.shape[-1]
        rows = len(self.order)
        shape = (rows, count) if value.ndim == 2 else (rows, *windows.size, count)
        output = torch.empty(shape, device=value.device)
        positions = output.numel() // rows
        scale, bias, bounds = self.epilogue.scale, self.epilogue.bias, self.epilogue.bounds
        convolve[(rows * triton.cdiv(positions, block),)](
            padded,
            self.indptr,
            self.offsets,
            self.values,
            self.order,
            self.values if scale is None else scale,  # read only where there is one, like the two that follow
            self.values if bias is None else bias,
            self.values if residual is None else residual.contiguous(),
            output,
            rows,
            positions,
            count,
            windows.size[1],
            windows.strides[0] * width * count,
            windows.strides[1] * count,
            *(bounds or (0.0, 0.0)),
            BLOCK=block,
            UNROLL=UNROLLED,
            HAS_SCALE=scale is not None,
            HAS_BIAS=bias is not None,
            HAS_RESIDUAL=residual is not None,
            HAS_BOUNDS=bounds is not None,
            num_warps=warps_of(block),
        )
        return output
