"""The C++ engine (service/engine/native): a network is declared layer by layer and compiled to a plan.

Values are numbered from 0, the input; every method that adds a layer returns the number of the value it makes.
Shapes are (channels, height, width). A method raises ValueError where sizes do not fit each other.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_Sides = tuple[int, int, int]
_Pair = tuple[int, int]
_Bounds = tuple[float, float]
_Floats = npt.NDArray[np.float32]

class Plan:
    instruction_set: str
    workspace_bytes: int
    layer_bytes: list[tuple[int, int]]  # weights and bias of each layer

    def run(self, pictures: _Floats, logits: _Floats) -> None: ...
    def run_pictures(self, pictures: Sequence[_Floats], logits: _Floats) -> None: ...
    def profile(self, pictures: _Floats, logits: _Floats) -> list[float]: ...  # seconds of each layer

class Builder:
    def __init__(self, input: _Sides) -> None: ...
    def convolution(
        self,
        input: int,
        output: _Sides,
        positions: npt.NDArray[np.int32],
        codes: npt.NDArray[np.uint16],  # of `values`; none where there is a value for every position
        values: _Floats,
        scale: _Floats,
        bias: _Floats,
        kernel: _Pair,
        strides: _Pair,
        dilations: _Pair,
        pads: _Pair,
        group: int,
        residual: int,
        bounds: _Bounds,
        /,
    ) -> int: ...
    def normalization(self, input: int, scale: _Floats, bias: _Floats, residual: int, bounds: _Bounds, /) -> int: ...
    def clamp(self, input: int, bounds: _Bounds, /) -> int: ...
    def sigmoid(self, input: int, /) -> int: ...
    def combination(self, multiply: bool, first: int, second: int, /) -> int: ...
    def pool(
        self,
        maximum: bool,
        input: int,
        output: _Sides,
        kernel: _Pair,
        strides: _Pair,
        pads: _Pair,
        count_padding: bool,
        /,
    ) -> int: ...
    def global_average(self, input: int, /) -> int: ...
    def flatten(self, input: int, /) -> int: ...
    def assembly(self, parts: Sequence[tuple[int, _Sides, _Sides, _Sides, _Sides]], output: _Sides, /) -> int: ...
    def free(self, value: int, /) -> None: ...
    def compile(self, instruction_set: str, threads: int, /) -> Plan:
        """Raises RuntimeError where the activations of one image are too large."""

def instruction_sets() -> list[str]: ...
def peak_multiply_adds(instruction_set: str, threads: int, seconds: float, /) -> float:
    """Multiply-adds a second in registers alone; "" is the fastest instruction set. ValueError where it cannot run."""
