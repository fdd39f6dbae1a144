"""How long each engine takes from a network's file to the first answer."""

from collections.abc import Mapping, Sequence

from service.bench.candidate import Candidate
from service.bench.catalog import EngineKind
from service.bench.crew import Crew
from service.bench.engine import FIRST_RUN
from service.bench.report import LoadRow
from service.bench.rounds import summarize, take_turns
from service.bench.worker import Load
from service.errors import WorkerFailed

_Laps = Mapping[str, float]


def time_loads(crew: Crew, kinds: Sequence[EngineKind], candidate: Candidate, rounds: int) -> tuple[LoadRow, ...]:
    """A row for each engine whose loading is measured: `rounds` loads in turns, after one that does not count.

    The files have been read before, so they come from the system's cache.
    """
    request = Load(candidate.files, candidate.pictures[:1])
    laps: dict[str, list[_Laps]] = {kind.name: [] for kind in kinds if kind.loads}
    problems: dict[str, str] = {}

    def turn(name: str, samples: Sequence[float]) -> list[float] | None:
        try:
            laps[name].append(crew.ask(name, request))
        except WorkerFailed as error:
            problems[name] = str(error)
            return None
        return []

    take_turns(list(laps), rounds + 1, turn)
    return tuple(
        _row(candidate, crew.threads, kind, laps[kind.name][1:], problems.get(kind.name, ""))
        for kind in kinds
        if kind.loads
    )


def _row(candidate: Candidate, threads: int, kind: EngineKind, laps: Sequence[_Laps], problem: str) -> LoadRow:
    file_bytes = candidate.files.path_of(kind.file).stat().st_size
    if problem:
        return LoadRow(candidate.name, threads, kind.name, file_bytes, {}, None, None, problem)
    parts = [part for part in laps[0] if part != FIRST_RUN]
    return LoadRow(
        candidate.name,
        threads,
        kind.name,
        file_bytes,
        {part: summarize([lap[part] for lap in laps]).median_s for part in parts},
        summarize([sum(lap[part] for part in parts) for lap in laps]),
        summarize([lap[FIRST_RUN] for lap in laps]),
        "",
    )
