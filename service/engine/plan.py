"""What every engine offers: a plan, which is a bundle made ready to run on one device."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from service.errors import EngineFailure

Array = npt.NDArray[np.float32]


class Plan(Protocol):
    """A network ready to run. One thread runs it at a time.

    Attributes:
        name: the engine's, e.g. "numpy".
        input_shape: (channels, height, width) of one picture.
        classes: how many logits a picture gets.
        resident_bytes: bytes of all arrays held between runs.
        layer_bytes: the same for each named layer; a layer folded into another holds only what is left of it.
    """

    @property
    def name(self) -> str: ...
    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...
    @property
    def resident_bytes(self) -> int: ...
    @property
    def layer_bytes(self) -> Mapping[str, int]: ...

    def run(self, batch: Array) -> Array:
        """Logits float32 [n, classes] of normalised pictures float32 [n, channels, height, width], n >= 1."""
        ...


@runtime_checkable
class GatheringPlan(Protocol):
    """A plan that reads pictures where they lie: nobody needs to make one array of them. Several threads may run it at
    a time."""

    def run_pictures(self, pictures: Sequence[Array]) -> Array:
        """As `Plan.run`, of pictures [channels, height, width]."""
        ...


@runtime_checkable
class MeasuredPlan(Plan, Protocol):
    """A plan that had several kernels to choose from, and measured them.

    Attributes:
        layer_kernels: layer -> batch size -> the kernel that runs it.
    """

    @property
    def layer_kernels(self) -> Mapping[str, Mapping[int, str]]: ...


def run_pictures(plan: Plan, pictures: Sequence[Array]) -> Array:
    """Logits float32 [n, classes] of n >= 1 normalised pictures float32 [channels, height, width]."""
    return plan.run_pictures(pictures) if isinstance(plan, GatheringPlan) else plan.run(np.stack(pictures))


def check_batch(batch: Array, input_shape: tuple[int, int, int]) -> None:
    """Refuse a batch that is not float32 [n, *input_shape] with n >= 1.

    Raises:
        EngineFailure: it is not.
    """
    if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[1:] != input_shape or not len(batch):
        expected = ", ".join(str(side) for side in input_shape)
        raise EngineFailure(f"batch: {batch.dtype} of shape {batch.shape}, must be float32 of (n >= 1, {expected})")
