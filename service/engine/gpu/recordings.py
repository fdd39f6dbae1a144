"""Runs of a whole network that were recorded for one batch size each, and are replayed at once."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Run = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recorded run.

    Attributes:
        replay: takes values of the recorded shape.
        size_bytes: what it holds on the device.
    """

    replay: Run
    size_bytes: int


Record = Callable[[Run, Tensor], Recording]
"""Records a run for values of one shape, or raises RuntimeError where that cannot be."""


class Recordings:
    """A run that is recorded when a batch size comes for the first time; the last axis of values tells it.

    Where recording fails, that batch size is run without one from then on.
    """

    def __init__(self, run: Run, record: Record, limit: int) -> None:
        """Keep recordings for at most `limit` batch sizes: those used last."""
        self._run = run
        self._record = record
        self._limit = limit
        self._kept: OrderedDict[int, Recording] = OrderedDict()
        self._failed: set[int] = set()

    @property
    def size_bytes(self) -> int:
        """What all of them hold on the device."""
        return sum(recording.size_bytes for recording in self._kept.values())

    def __call__(self, values: Tensor) -> Tensor:
        count = values.shape[-1]
        if count in self._failed or not self._limit:
            return self._run(values)
        recording = self._kept.pop(count, None)
        if recording is None:
            try:
                recording = self._record(self._run, values)
            except RuntimeError as error:
                self._failed.add(count)
                reason = next(iter(str(error).splitlines()), "")
                _log.warning("engine: batches of %d run without a CUDA graph (%s)", count, reason)
                return self._run(values)
        self._kept[count] = recording
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return recording.replay(values)
