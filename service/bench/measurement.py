"""A whole run: every number of threads, network and batch size, all engines in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from service.bench import surroundings
from service.bench.candidate import Candidate, prepare_candidate
from service.bench.catalog import Choice, choose_engines
from service.bench.comparison import compare
from service.bench.crew import Crew, Start
from service.bench.inputs import read_network
from service.bench.job import Job
from service.bench.loading import time_loads
from service.bench.report import FORMAT, TOLERANCE, Conditions, DecoderRow, LoadRow, Report, Row
from service.bench.running import time_runs
from service.bench.streams import time_streams
from service.bench.worker import Peak, Worker
from service.errors import WorkerFailed
from service.settings import available_cores

PEAK_S = 0.05


def measure(job: Job, say: Callable[[str], None], start: Start = Worker) -> Report:
    """Do it.

    Args:
        say: is told what is measured next.
        start: makes a worker.

    Raises:
        BenchError: a file cannot be read, or no engine can run here.
    """
    started = surroundings.now()
    choice = choose_engines(job.own, job.peers, job.device)
    networks = [read_network(name, job.seed) for name in job.networks]
    formats = frozenset(kind.file for kind in choice.present)
    with TemporaryDirectory(prefix="csrve-bench-") as folder:
        candidates = [
            prepare_candidate(network, Path(folder) / str(index), formats, max(job.batches), job.seed)
            for index, network in enumerate(networks)
        ]
        runs = [_Run(job, choice, threads, say) for threads in job.threads]
        for run in runs:
            run.carry_out(candidates, start)
    rows = tuple(row for candidate in candidates for run in runs for row in run.compared(candidate))
    loads = tuple(row for run in runs for row in run.loads)
    decoders = tuple(row for run in runs for row in run.decoders)
    peaks = {str(run.threads): run.peak for run in runs if run.peak is not None}
    subjects = tuple(candidate.subject() for candidate in candidates)
    return Report(FORMAT, _conditions(job, choice, started, peaks), subjects, rows, loads, decoders)


def _conditions(job: Job, choice: Choice, started: str, peaks: Mapping[str, float]) -> Conditions:
    return Conditions(
        job.command,
        started,
        job.seed,
        surroundings.processor(),
        available_cores(),
        surroundings.instruction_sets(),
        surroundings.versions(with_gpu=job.device == "cuda"),
        peaks,
        job.pace,
        TOLERANCE,
        choice.absent,
    )


class _Run:
    """All that is done with one number of threads."""

    def __init__(self, job: Job, choice: Choice, threads: int, say: Callable[[str], None]) -> None:
        self.threads = threads
        self.peak: float | None = None
        self.loads: list[LoadRow] = []
        self.decoders: list[DecoderRow] = []
        self._job = job
        self._kinds = choice.present
        self._say = say
        self._rows: dict[str, list[tuple[Row, ...]]] = {}

    def carry_out(self, candidates: Sequence[Candidate], start: Start) -> None:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        with Crew([kind.name for kind in self._kinds], self.threads, start) as crew:
            for candidate in candidates:
                for batch in self._job.batches:
                    self._say(f"{candidate.name}: {threads}, batch {batch}")
                    self._probe(crew)
                    rows = time_runs(crew, self._kinds, candidate, batch, self._job.pace)
                    self._rows.setdefault(candidate.name, []).append(rows)
                self._say(f"{candidate.name}: {threads}, loading")
                self.loads += time_loads(crew, self._kinds, candidate, self._job.pace.rounds)
                self.decoders += time_streams(crew, self._kinds, candidate, self._job.pace)

    def compared(self, candidate: Candidate) -> list[Row]:
        """A network's rows, now that the highest peak of the run is known."""
        multiply_adds = candidate.network.bundle.multiply_adds()
        on_gpu = {kind.name for kind in self._kinds if kind.gpu}  # the peak is the processor's
        rows = [row for rows in self._rows[candidate.name] for row in compare(rows, multiply_adds, self.peak)]
        return [replace(row, share_of_peak=None) if row.engine in on_gpu else row for row in rows]

    def _probe(self, crew: Crew) -> None:
        """Measure the peak again, by the first worker that is alive."""
        for kind in self._kinds:
            try:
                found: float | None = crew.ask(kind.name, Peak(PEAK_S))
            except WorkerFailed:
                continue
            if found is not None:
                self.peak = max(found, self.peak or 0.0)
            return
