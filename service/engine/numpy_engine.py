"""The plain CPU engine: numpy only. Convolution as im2col and one matrix product for a whole batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import INPUT
from model_store.shapes import Shape
from service.engine.lowering import ByteAccount, Step, lower
from service.engine.numpy_kernels import Kernel, build_kernel
from service.engine.plan import Array, check_batch


@dataclass(frozen=True, slots=True, eq=False)
class _Instruction:
    """A step's function, with where its values come from and go to."""

    run: Kernel
    reads: tuple[int, ...]
    output: int
    frees: tuple[int, ...]


class NumpyPlan:
    """A bundle with its weights decoded to dense float32, scales multiplied in."""

    name = "numpy"

    def __init__(self, bundle: Bundle) -> None:
        self.input_shape = bundle.preprocessing.input_shape
        self.classes = len(bundle.class_names)
        steps = lower(bundle)
        shapes: dict[int, Shape] = {INPUT: self.input_shape} | {step.output: step.shape for step in steps}
        account = ByteAccount(bundle.graph)
        self._instructions = tuple(
            self._bind(step, [shapes[value] for value in step.inputs], account) for step in steps
        )
        self.layer_bytes: Mapping[str, int] = account.layers
        self.resident_bytes = account.total

    @staticmethod
    def _bind(step: Step, input_shapes: list[Shape], account: ByteAccount) -> _Instruction:
        kernel, held = build_kernel(step, input_shapes)
        for role, array in held.items():
            account.add(step, role, array.nbytes)
        return _Instruction(kernel, step.reads, step.output, step.frees)

    def run(self, batch: Array) -> Array:
        """Logits float32 [n, classes] of float32 [n, channels, height, width].

        Raises:
            EngineFailure: the batch has another type or shape.
        """
        check_batch(batch, self.input_shape)
        values = {INPUT: np.ascontiguousarray(batch.transpose(1, 0, 2, 3))}
        with np.errstate(all="ignore"):  # what overflows shows in the logits, which the caller checks
            for instruction in self._instructions:
                result = instruction.run(*(values[value] for value in instruction.reads))
                for value in instruction.frees:
                    del values[value]
                values[instruction.output] = result
        return np.ascontiguousarray(result.T)
