"""The fast CPU engine: a plan of C++ kernels that multiply with non-zeros only (service/engine/native).

Importing this module fails where the extension was not built; `compile_plan` then takes the numpy engine.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from model_store.bundle import Bundle
from service.engine import _native
from service.engine.lowering import ByteAccount, lower
from service.engine.native_declaration import compile_steps
from service.engine.plan import Array, check_batch
from service.errors import EngineFailure, EngineUnavailable


class NativePlan:
    """A bundle whose non-zeros lie in the order in which one core reads them. Several threads may run it at a time."""

    def __init__(self, bundle: Bundle, threads: int = 1, instruction_set: str = "") -> None:
        """Compile a bundle.

        Args:
            threads: how many threads one batch may use.
            instruction_set: one of `instruction_sets()`; empty for the fastest.

        Raises:
            EngineUnavailable: the machine does not have the instruction set, or the network's activations are too
                large for this engine.
        """
        if instruction_set and instruction_set not in instruction_sets():
            known = ", ".join(instruction_sets())
            raise EngineUnavailable(f'instruction set "{instruction_set}": must be one of {known}')
        self.input_shape = bundle.preprocessing.input_shape
        self.classes = len(bundle.class_names)
        steps = lower(bundle)
        self._step_names = [step.node.name or step.node.operator for step in steps]
        self._plan = compile_steps(self.input_shape, steps, instruction_set, threads)
        self.name = f"native-{self._plan.instruction_set}"
        account = ByteAccount(bundle.graph)
        for step, layer_bytes in zip(steps, self._plan.layer_bytes, strict=True):
            for role, size_bytes in zip(("weight", "bias"), layer_bytes, strict=True):
                account.add(step, role, size_bytes)
        self.layer_bytes: Mapping[str, int] = account.layers
        self.weight_bytes = account.total

    @property
    def activation_bytes(self) -> int:
        """Bytes of the buffers held for activations: as many sets as callers have run at a time."""
        return self._plan.workspace_bytes

    @property
    def resident_bytes(self) -> int:
        """Bytes held between runs: weights, and the buffers that runs so far have left."""
        return self.weight_bytes + self.activation_bytes

    def run(self, batch: Array) -> Array:
        """Logits float32 [n, classes] of float32 [n, channels, height, width].

        Raises:
            EngineFailure: the batch has another type or shape.
        """
        check_batch(batch, self.input_shape)
        logits = np.empty((len(batch), self.classes), dtype=np.float32)
        self._plan.run(np.ascontiguousarray(batch), logits)
        return logits

    def run_pictures(self, pictures: Sequence[Array]) -> Array:
        """The same of pictures [channels, height, width] that are read where they lie.

        Raises:
            EngineFailure: one has another type or shape, or there is none.
        """
        expected = (np.dtype(np.float32), self.input_shape)
        if not pictures or any((picture.dtype, picture.shape) != expected for picture in pictures):
            raise EngineFailure(f"pictures: must be one or more, float32 of {self.input_shape}")
        logits = np.empty((len(pictures), self.classes), dtype=np.float32)
        self._plan.run_pictures([np.ascontiguousarray(picture) for picture in pictures], logits)
        return logits

    def profile(self, batch: Array) -> list[tuple[str, float]]:
        """Run a batch, and say which step took how long: (its layer, or its operator where that has no name; seconds).

        Raises:
            EngineFailure: the batch has another type or shape.
        """
        check_batch(batch, self.input_shape)
        logits = np.empty((len(batch), self.classes), dtype=np.float32)
        return list(zip(self._step_names, self._plan.profile(np.ascontiguousarray(batch), logits), strict=True))


def instruction_sets() -> tuple[str, ...]:
    """Those that this machine runs, the fastest first."""
    return tuple(_native.instruction_sets())
