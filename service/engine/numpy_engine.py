"""The plain CPU engine: numpy only. Convolution as im2col and one matrix product for a whole batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from model_store.bundle import Bundle
from model_store.graph import INPUT
from model_store.shapes import Shape
from service.engine.lowering import Step, lower
from service.engine.numpy_kernels import Kernel, build_kernel
from service.engine.plan import Array, check_batch


@dataclass(frozen=True, slots=True, eq=False)
class _Instruction:
    """A step's function, with where its values come from and go to."""

    run: Kernel
    reads: tuple[int, ...]
    output: int
    frees: tuple[int, ...]


@dataclass(init=False, slots=True, eq=False)
class NumpyPlan:
    """A bundle with its weights decoded to dense float32, scales multiplied in."""

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    resident_bytes: int
    layer_bytes: Mapping[str, int]
    _instructions: tuple[_Instruction, ...] = field(repr=False)

    def __init__(self, bundle: Bundle) -> None:
        self.name = "numpy"
        self.input_shape = bundle.preprocessing.input_shape
        self.classes = len(bundle.class_names)
        steps = lower(bundle)
        shapes: dict[int, Shape] = {INPUT: self.input_shape} | {step.output: step.shape for step in steps}
        layer_bytes = {node.name: 0 for node in bundle.graph.nodes if node.name}
        unnamed_bytes = 0
        instructions = []
        for step in steps:
            kernel, held = build_kernel(step, [shapes[value] for value in step.inputs])
            instructions.append(_Instruction(kernel, step.reads, step.output, step.frees))
            for role, array in held.items():
                layer = owner(step, role)
                if layer:
                    layer_bytes[layer] += array.nbytes
                else:
                    unnamed_bytes += array.nbytes
        self._instructions = tuple(instructions)
        self.layer_bytes = layer_bytes
        self.resident_bytes = sum(layer_bytes.values()) + unnamed_bytes

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


def owner(step: Step, role: str) -> str:
    """The layer that an array of a step counts for: a bias that came with a BatchNormalization is that one's."""
    return step.normalization if role == "bias" and step.normalization else step.node.name
