"""What follows an operator in its step: scale, bias, residual and bounds."""

from dataclasses import dataclass

import torch
from torch import Tensor

from service.engine.lowering import Step


@dataclass(frozen=True, slots=True, eq=False)
class Epilogue:
    """`clamp(scale * value + bias + residual)`, the parts it has of that.

    Attributes:
        scale, bias: float32 [outputs], or None.
        bounds: (low, high), or None.
    """

    scale: Tensor | None
    bias: Tensor | None
    bounds: tuple[float, float] | None

    @classmethod
    def of(cls, step: Step, device: torch.device) -> "Epilogue":
        """A step's."""
        scale, bias = (
            None if array is None else torch.from_numpy(array).to(device) for array in (step.scale, step.bias)
        )
        return cls(scale, bias, step.bounds)

    def apply(self, value: Tensor, residual: Tensor | None) -> Tensor:
        """The value [outputs, ...] with all of it."""
        shape = (-1, *(1 for _ in value.shape[1:]))
        if self.scale is not None:
            value = value * self.scale.view(shape)
        if self.bias is not None:
            value = value + self.bias.view(shape)
        if residual is not None:
            value = value + residual
        return value if self.bounds is None else value.clamp(*self.bounds)
