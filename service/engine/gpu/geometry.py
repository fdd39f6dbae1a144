"""How a layer's windows walk over values that lie as [channel][row][column][picture]."""

from dataclasses import dataclass

import torch.nn.functional as functional
from torch import Tensor

from model_store.shapes import Shape
from service.engine.lowering import Step
from service.engine.windows import Windows

MAX_PICTURES = 1024  # in one run; positions of a plane times this must fit int32, with which the direct kernel counts
_MAX_PLANE = (1 << 31) // MAX_PICTURES - 1
_MAX_OFFSET = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution's windows over its padded input. A linear layer's are one pixel wide, over a map of one pixel.

    Attributes:
        padded: (channels, height, width) of the input with its border.
    """

    windows: Windows
    padded: tuple[int, int, int]

    @classmethod
    def of(cls, step: Step, input_shape: Shape) -> "Geometry":
        """Of a Conv or a Gemm whose input has that shape."""
        if step.node.operator == "Gemm":
            return cls(Windows((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)), (input_shape[0], 1, 1))
        assert step.weight is not None  # Node checks it
        windows = Windows.of(step.node, step.weight.shape[2:], step.shape)
        top, left, bottom, right = windows.pads
        return cls(windows, (input_shape[0], top + input_shape[1] + bottom, left + input_shape[2] + right))

    @property
    def fits_direct(self) -> bool:
        """Whether the direct kernel can number its positions."""
        channels, height, width = self.padded
        planes = (height * width, self.windows.size[0] * self.windows.size[1])
        return max(planes) <= _MAX_PLANE and channels * height * width <= _MAX_OFFSET

    def pad(self, maps: Tensor) -> Tensor:
        """Maps [channels, height, width, n] (or features [channels, n]) with their border, contiguous."""
        if any(self.windows.pads):
            maps = functional.pad(maps, border(self.windows))
        return maps.contiguous()

    def columns(self, padded: Tensor) -> Tensor:
        """im2col: what each tap meets, [channels * taps, output rows * output columns * n]."""
        channels, height, width = self.padded
        count = padded.shape[-1]
        (rows, columns), (down, across) = self.windows.kernel, self.windows.strides
        dilations = self.windows.dilations
        line = width * count
        sizes = (channels, rows, columns, *self.windows.size, count)
        strides = (height * line, dilations[0] * line, dilations[1] * count, down * line, across * count, 1)
        return padded.as_strided(sizes, strides).reshape(channels * rows * columns, -1)


def border(windows: Windows) -> tuple[int, int, int, int, int, int]:
    """Pads of [row, column, picture] as torch orders them: the last axis first, before and after."""
    top, left, bottom, right = windows.pads
    return 0, 0, left, right, top, bottom


def as_images(maps: Tensor) -> Tensor:
    """[channels, height, width, n] as torch's operators want it, [n, channels, height, width]: a view."""
    return maps.permute(3, 0, 1, 2)


def as_maps(images: Tensor) -> Tensor:
    """The inverse of `as_images`."""
    return images.permute(1, 2, 3, 0)
