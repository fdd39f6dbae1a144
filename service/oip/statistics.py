"""How often each version was asked, and how long what took: the protocol's statistics extension."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
_REMEMBERED_RUNS = 64  # of the engine, to count a run once that answered several requests

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the engine that a picture was in, in perf_counter's seconds; pictures of one run have one start."""

    started_s: float
    ended_s: float
    pictures: int


@dataclass(frozen=True, slots=True)
class Stages:
    """Where a request's time went, in seconds."""

    queue_s: float
    input_s: float
    infer_s: float
    output_s: float
    total_s: float


@dataclass(slots=True)
class _Duration:
    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += max(0.0, seconds)

    def describe(self) -> Document:
        return {"count": self.count, "ns": round(1e9 * self.seconds)}


@dataclass(slots=True, eq=False)
class _ModelStatistics:
    last_inference_ms: int = 0
    pictures: int = 0
    runs: int = 0
    stages: dict[str, _Duration] = field(default_factory=lambda: {stage: _Duration() for stage in STAGES})
    batches: dict[int, _Duration] = field(default_factory=dict)
    recent_starts_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_RUNS))


class Statistics:
    """The counts of one application, by name and version, from its start. Used from one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._models: dict[tuple[str, int], _ModelStatistics] = {}

    def succeed(self, name: str, version: int, stages: Stages, runs: Sequence[Run]) -> None:
        """Count a request that was answered; `runs` has one entry for each of its pictures."""
        model = self._models.setdefault((name, version), _ModelStatistics())
        model.last_inference_ms = round(1000 * self._clock())
        model.pictures += len(runs)
        seconds = {
            "success": stages.total_s,
            "queue": stages.queue_s,
            "compute_input": stages.input_s,
            "compute_infer": stages.infer_s,
            "compute_output": stages.output_s,
        }
        for stage, spent_s in seconds.items():
            model.stages[stage].add(spent_s)
        for run in runs:
            if run.started_s not in model.recent_starts_s:
                model.recent_starts_s.append(run.started_s)
                model.runs += 1
                model.batches.setdefault(run.pictures, _Duration()).add(run.ended_s - run.started_s)

    def fail(self, name: str, version: int, seconds: float) -> None:
        """Count a request that got an error, of a model that is there."""
        self._models.setdefault((name, version), _ModelStatistics()).stages["fail"].add(seconds)

    def describe(self, versions: Sequence[tuple[str, int]]) -> Document:
        """The statistics of these versions, zeros for one that was never asked."""
        return {
            "model_stats": [_describe(*key, self._models.get(key) or _ModelStatistics()) for key in sorted(versions)]
        }


def _describe(name: str, version: int, model: _ModelStatistics) -> Document:
    return {
        "name": name,
        "version": str(version),
        "last_inference": model.last_inference_ms,
        "inference_count": model.pictures,
        "execution_count": model.runs,
        "inference_stats": {stage: duration.describe() for stage, duration in model.stages.items()},
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _Duration().describe(),
                "compute_infer": model.batches[size].describe(),
                "compute_output": _Duration().describe(),
            }
            for size in sorted(model.batches)
        ],
    }
