"""One engine with one number of threads, in a process of its own.

How many threads OpenMP and BLAS use is a matter of the whole process, and is read when they are loaded. So each engine
gets a process that was started with that number and with as many processors, and idles until it is asked.
"""

import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from model_store.bundle import check_bundle
from model_store.coded import streams_of
from model_store.decoder import decode_symbols
from model_store.lock_step import lookup_of
from service.bench.catalog import build_engine
from service.bench.engine import Engine
from service.bench.inputs import Files
from service.engine.plan import Array
from service.errors import WorkerFailed

TIMEOUT_S = 600.0

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Inductor would keep a pool of compiling processes.
_SETTINGS = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}


@dataclass(frozen=True, slots=True, eq=False)
class Prepare:
    """Make ready to run these pictures. The answer: their logits."""

    files: Files
    pictures: Array


@dataclass(frozen=True, slots=True)
class Measure:
    """Run the pictures again and again. The answer: the seconds of each run, warm-up left out.

    Attributes:
        warm_up_s: how long to run before anything counts; once at least, or not at all where it is 0.
        turn_s: how long to run then; once at least.
    """

    warm_up_s: float
    turn_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Load the network from its file. The answer: seconds by part."""

    files: Files
    picture: Array


@dataclass(frozen=True, slots=True)
class Streams:
    """Decode a bundle's Huffman streams again and again. The answer: their symbols, and the seconds of each time.

    Attributes:
        warm_up_s, turn_s: as in `Measure`.
    """

    bundle: Path
    warm_up_s: float
    turn_s: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The answer: multiply-adds a second of the fastest instruction set, or None without the native extension."""

    seconds: float


Request = Prepare | Measure | Load | Streams | Peak


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str


class Session:
    """What a worker does with its requests."""

    def __init__(self, build: Callable[[], Engine], threads: int) -> None:
        self._build = build
        self._threads = threads
        self._engine: Engine | None = None

    def answer(self, request: Request) -> Any:
        if isinstance(request, Peak):
            return self._peak(request.seconds)
        if isinstance(request, Streams):
            return self._streams(request)
        if self._engine is None:
            self._engine = self._build()
        if isinstance(request, Prepare):
            self._engine.prepare(request.files, request.pictures)
            return np.array(self._engine.logits(self._engine.run()))
        if isinstance(request, Load):
            return dict(self._engine.load(request.files, request.picture))
        return _seconds_of(self._engine.run, request)

    def _streams(self, request: Streams) -> tuple[int, list[float]]:
        coded = check_bundle(request.bundle.read_bytes())

        def decode() -> None:
            for _ in decode_symbols(coded, lookup_of(coded.tables), self._threads):
                pass

        symbols = sum(stream.count for tensor in coded.tensors for stream in streams_of(tensor))
        return symbols, _seconds_of(decode, request)

    def _peak(self, seconds: float) -> float | None:
        try:
            from service.engine import _native
        except ImportError:
            return None
        return _native.peak_multiply_adds("", self._threads, seconds)


def _seconds_of(run: Callable[[], object], request: Measure | Streams) -> list[float]:
    if request.warm_up_s:
        _run_for(run, request.warm_up_s)
    return _run_for(run, request.turn_s)


def _run_for(run: Callable[[], object], seconds: float) -> list[float]:
    samples: list[float] = []
    end_s = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end_s:
        started_s = time.perf_counter()
        run()
        samples.append(time.perf_counter() - started_s)
    return samples


def serve(connection: Connection, engine: str, threads: int) -> None:
    """The worker's process: answer requests until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and closes the connection
    os.dup2(2, 1)  # what runtimes print is no part of our output
    gc.disable()
    session = Session(lambda: build_engine(engine, threads), threads)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        if not isinstance(request, Measure | Streams):
            gc.collect()
        try:
            answer = session.answer(request)
        except Exception as error:  # whatever a runtime raises is told, and the next engine has its turn
            answer = _Failure(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
        connection.send(answer)


class Worker:
    """The parent's end. `send` and `receive` take turns, so that several workers can prepare at once."""

    def __init__(self, engine: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, engine, threads), daemon=True)
        with confined(threads):
            self._process.start()
        theirs.close()

    def send(self, request: Request) -> None:
        """Raises WorkerFailed where the process has ended."""
        try:
            self._connection.send(request)
        except OSError:
            raise WorkerFailed(self._how_it_ended()) from None

    def receive(self) -> Any:
        """Raises WorkerFailed where the engine raised, the process ended, or no answer came in `TIMEOUT_S`."""
        try:
            if not self._connection.poll(TIMEOUT_S):
                self.close()
                raise WorkerFailed(f"no answer in {TIMEOUT_S:g} s")
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise WorkerFailed(self._how_it_ended()) from None
        if isinstance(answer, _Failure):
            raise WorkerFailed(answer.reason)
        return answer

    def _how_it_ended(self) -> str:
        self._process.join(1)
        return f"its process ended with status {self._process.exitcode}"

    def close(self) -> None:
        self._connection.close()
        self._process.join(0.5)
        self._process.kill()
        self._process.join()


@contextmanager
def confined(threads: int) -> Iterator[None]:
    """What processes inherit that are started meanwhile: the number of threads, and the first so many processors."""
    wanted = {**_SETTINGS, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if processors:
        os.sched_setaffinity(0, sorted(processors)[:threads])
    try:
        yield
    finally:
        if processors:
            with suppress(OSError):
                os.sched_setaffinity(0, processors)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
