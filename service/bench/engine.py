"""What every runtime under measurement offers, ours and other people's."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from service.bench.inputs import Files
from service.engine.plan import Array


class Engine(Protocol):
    """One runtime with its number of threads."""

    def prepare(self, files: Files, pictures: Array) -> None:
        """Make ready to run exactly these pictures, float32 [n, channels, height, width]; forget what was before."""
        ...

    def run(self) -> Any:
        """Run them once: this is what is timed. The answer is whatever the runtime gives."""
        ...

    def logits(self, answer: Any) -> Array:
        """An answer of `run` as float32 [n, classes]."""
        ...

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        """Seconds of each part of loading the network from its file, and of `FIRST_RUN`, which runs one picture."""
        ...


FIRST_RUN = "first picture"


class Stopwatch:
    """Seconds between laps, each under its name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def lap(self, name: str) -> None:
        """The time since the lap before, or since the start."""
        now_s = time.perf_counter()
        self.laps[name] = now_s - self._last_s
        self._last_s = time.perf_counter()
