"""The times of all engines for one network, number of threads and batch size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.bench.candidate import Candidate
from service.bench.catalog import EngineKind
from service.bench.comparison import difference_of, verdict
from service.bench.crew import Crew
from service.bench.report import Row
from service.bench.rounds import Pace, summarize, take_turns
from service.bench.worker import Measure, Prepare
from service.errors import WorkerFailed


def time_runs(crew: Crew, kinds: Sequence[EngineKind], candidate: Candidate, batch: int, pace: Pace) -> tuple[Row, ...]:
    """A row for each engine, without its ratio: a batch prepared by all of them, then run in turns."""
    found = _prepare(crew, kinds, candidate, batch)

    def turn(name: str, samples: Sequence[float]) -> list[float] | None:
        try:
            seconds: list[float] = crew.ask(name, Measure(pace.warm_up_of(samples), pace.turn_s))
        except WorkerFailed as error:
            found.problems[name] = str(error)
            return None
        return seconds

    samples = take_turns([kind.name for kind in kinds if kind.name in found.differences], pace.rounds, turn)
    return tuple(_row(candidate.name, crew.threads, batch, kind, found, samples) for kind in kinds)


@dataclass(frozen=True, slots=True)
class _Found:
    """By engine: how far its logits are off, or why there are none."""

    differences: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def _prepare(crew: Crew, kinds: Sequence[EngineKind], candidate: Candidate, batch: int) -> _Found:
    request = Prepare(candidate.files, candidate.pictures[:batch])
    answers, failures = crew.ask_all({kind.name: request for kind in kinds})
    found = _Found(problems=failures)
    for name, logits in answers.items():
        found.differences[name] = difference_of(logits, candidate.expected[:batch])
    return found


def _row(
    network: str, threads: int, batch: int, kind: EngineKind, found: _Found, samples: Mapping[str, Sequence[float]]
) -> Row:
    difference = found.differences.get(kind.name, math.inf)
    failure = found.problems.get(kind.name)
    return Row(
        network,
        threads,
        batch,
        kind.name,
        kind.dense,
        difference if math.isfinite(difference) else None,
        failure or verdict(difference, kind.tolerance),
        None if failure else summarize(samples[kind.name]),
        None,
        None,
    )
