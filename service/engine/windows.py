"""The geometry of sliding windows, which convolutions and pools of every engine share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model_store.graph import Node
from model_store.shapes import Shape
from service.engine.plan import Array


@dataclass(frozen=True, slots=True)
class Windows:
    """How a kernel walks over a map.

    Attributes:
        kernel, strides, dilations: (vertical, horizontal).
        pads: top, left, bottom, right.
        size: (height, width) of the output.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, node: Node, kernel: tuple[int, ...], output: Shape) -> "Windows":
        """The windows of a Conv or a pool whose output has that shape (channels, height, width)."""
        top, left, bottom, right = node.ints("pads")
        strides = node.ints("strides")
        dilations = node.ints("dilations") if "dilations" in node.attributes else (1, 1)
        return cls(
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
            (dilations[0], dilations[1]),
            (top, left, bottom, right),
            (output[1], output[2]),
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel reads just the input pixel of the same place."""
        return self.kernel == (1, 1) and self.strides == (1, 1) and not any(self.pads)

    def taps(self) -> Iterator[tuple[int, int, slice, slice]]:
        """(row, column, rows, columns) of each kernel element: where in the padded map it meets every output pixel."""
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                yield row, column, self._span(0, row), self._span(1, column)

    def _span(self, axis: int, element: int) -> slice:
        first = element * self.dilations[axis]
        return slice(first, first + (self.size[axis] - 1) * self.strides[axis] + 1, self.strides[axis])

    def pad(self, maps: Array, blank: float) -> Array:
        """Maps [..., height, width] with a border of `blank`; the same array where there is no border."""
        if not any(self.pads):
            return maps
        top, left, bottom, right = self.pads
        height, width = maps.shape[-2:]
        padded = np.full((*maps.shape[:-2], top + height + bottom, left + width + right), blank, dtype=np.float32)
        padded[..., top : top + height, left : left + width] = maps
        return padded

    def counts(self, height: int, width: int) -> Array:
        """float32 of the output's size: how many pixels of an unpadded map each window holds."""
        inside = self.pad(np.ones((height, width), dtype=np.float32), 0.0)
        total = np.zeros(self.size, dtype=np.float32)
        for _, _, rows, columns in self.taps():
            total += inside[rows, columns]
        return total
