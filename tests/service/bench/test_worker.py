"""Sessions in this process, and workers in theirs."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store.bundle import check_bundle
from model_store.coded import streams_of
from service.bench.candidate import Candidate, prepare_candidate
from service.bench.crew import Crew
from service.bench.engine import FIRST_RUN, Stopwatch
from service.bench.inputs import Files, read_network
from service.bench.worker import Load, Measure, Peak, Prepare, Session, Streams, Worker, confined
from service.engine.plan import Array
from service.errors import WorkerFailed


@pytest.fixture
def candidate(tmp_path: Path, encoded: bytes) -> Candidate:
    (tmp_path / "small.csrve").write_bytes(encoded)
    network = read_network(str(tmp_path / "small.csrve"), 0)
    return prepare_candidate(network, tmp_path / "files", frozenset({"bundle"}), 3, 0)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("numpy", 1)
    yield worker
    worker.close()


class CountingEngine:
    """Answers with how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def prepare(self, files: Files, pictures: Array) -> None:
        self.runs = 0

    def run(self) -> int:
        self.runs += 1
        return self.runs

    def logits(self, answer: Any) -> Array:
        return np.array([[answer]], dtype=np.float32)

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        return {FIRST_RUN: 1.0}


def ask(worker: Worker, request: Any) -> Any:
    worker.send(request)
    return worker.receive()


def test_a_turn_runs_once_at_least_and_warms_up_unless_told_not_to() -> None:
    engine = CountingEngine()
    session = Session(lambda: engine, 1)
    assert len(session.answer(Measure(1e-9, 0.0))) == 1
    assert engine.runs == 2
    assert len(session.answer(Measure(0.0, 0.0))) == 1
    assert engine.runs == 3
    assert len(session.answer(Measure(0.0, 0.01))) == engine.runs - 3 > 1


def test_an_engine_is_built_once_and_only_when_it_is_needed() -> None:
    built: list[CountingEngine] = []

    def build() -> CountingEngine:
        built.append(CountingEngine())
        return built[-1]

    session = Session(build, 1)
    session.answer(Peak(0.0))
    assert built == []
    files = Files(Path("unused"))
    assert session.answer(Prepare(files, np.zeros((1, 1, 1, 1), np.float32))).tolist() == [[1.0]]
    assert session.answer(Load(files, np.zeros((1, 1, 1, 1), np.float32))) == {FIRST_RUN: 1.0}
    assert len(built) == 1


def test_laps_add_up() -> None:
    watch = Stopwatch()
    watch.lap("one")
    watch.lap("two")
    assert list(watch.laps) == ["one", "two"]
    assert min(watch.laps.values()) >= 0


def test_a_worker_prepares_runs_and_loads_in_its_own_process(worker: Worker, candidate: Candidate) -> None:
    logits = ask(worker, Prepare(candidate.files, candidate.pictures))
    np.testing.assert_allclose(logits, candidate.expected, rtol=1e-5)
    samples = ask(worker, Measure(0.001, 0.005))
    assert all(0 < seconds < 10 for seconds in samples)
    laps = ask(worker, Load(candidate.files, candidate.pictures[:1]))
    assert list(laps) == ["read", "verify", "decode", "compile", FIRST_RUN]


def test_a_worker_decodes_the_streams_of_a_bundle(worker: Worker, candidate: Candidate) -> None:
    symbols, samples = ask(worker, Streams(candidate.files.bundle, 0.001, 0.005))
    coded = check_bundle(candidate.files.bundle.read_bytes())
    assert symbols == sum(stream.count for tensor in coded.tensors for stream in streams_of(tensor)) > 0
    assert all(0 < seconds < 10 for seconds in samples)


def test_what_an_engine_raises_is_told_and_it_works_on(worker: Worker, candidate: Candidate) -> None:
    with pytest.raises(WorkerFailed) as caught:
        ask(worker, Prepare(Files(Path("missing.csrve")), candidate.pictures))
    assert str(caught.value) == "FileNotFoundError: [Errno 2] No such file or directory: 'missing.csrve'"
    assert ask(worker, Prepare(candidate.files, candidate.pictures)).shape == (3, 4)


def test_a_process_that_ends_is_told_and_stays_ended(worker: Worker, candidate: Candidate) -> None:
    worker._process.kill()
    for _ in range(2):
        with pytest.raises(WorkerFailed, match="its process ended with status -9"):
            ask(worker, Prepare(candidate.files, candidate.pictures))


def test_no_answer_in_time_ends_the_process(
    worker: Worker, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bench.worker.TIMEOUT_S", 0.01)
    with pytest.raises(WorkerFailed, match="no answer in 0.01 s"):
        ask(worker, Measure(0.0, 30.0))
    assert not worker._process.is_alive()


def test_processes_inherit_threads_and_processors_and_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    processors = os.sched_getaffinity(0)
    with confined(1):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "1")
        assert os.sched_getaffinity(0) == {min(processors)}
    with confined(1024):
        assert os.sched_getaffinity(0) == processors
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
    assert os.sched_getaffinity(0) == processors


def test_a_crew_that_cannot_start_leaves_no_process_behind() -> None:
    closed: list[str] = []

    class Closing:
        def __init__(self, name: str) -> None:
            self.name = name

        def send(self, request: object) -> None: ...
        def receive(self) -> None: ...
        def close(self) -> None:
            closed.append(self.name)

    def start(name: str, threads: int) -> Closing:
        if name == "c":
            raise OSError("no more processes")
        return Closing(name)

    with pytest.raises(OSError, match="no more processes"):
        Crew(["a", "b", "c"], 1, start)
    assert closed == ["a", "b"]
