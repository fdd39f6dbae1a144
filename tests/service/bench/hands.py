"""Stand-ins for workers: the same requests and answers, in this process, and behaviour that a test chooses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.bench.engine import FIRST_RUN
from service.bench.inputs import Files
from service.bench.own_engines import numpy_engine
from service.bench.worker import Measure, Peak, Request, Session
from service.engine.plan import Array
from service.errors import WorkerFailed


@dataclass
class Behaviour:
    """How an engine behaves.

    Attributes:
        seconds: of every run.
        error: added to its logits.
        dies_at: the kind of request at which its process ends, for good.
        raises: in `prepare`.
        peak: multiply-adds a second that it measures.
    """

    seconds: float = 1.0
    error: float = 0.0
    dies_at: type | None = None
    raises: Exception | None = None
    peak: float | None = 1e9


class BehavedEngine:
    """The numpy engine with its logits changed."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._engine = numpy_engine()

    def prepare(self, files: Files, pictures: Array) -> None:
        if self._behaviour.raises:
            raise self._behaviour.raises
        self._engine.prepare(files, pictures)

    def run(self) -> Array:
        return self._engine.run()

    def logits(self, answer: Array) -> Array:
        return answer + self._behaviour.error

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        return {"read": self._behaviour.seconds, "compile": 2 * self._behaviour.seconds, FIRST_RUN: 7.0}


@dataclass
class Troupe:
    """Starts hands, and writes down what they are asked.

    Attributes:
        asked: (engine, threads, kind of request) in the order of the answers.
        open: how many hands have not been closed.
    """

    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    asked: list[tuple[str, int, str]] = field(default_factory=list)
    open: int = 0

    def start(self, engine: str, threads: int) -> "Hand":
        self.open += 1
        return Hand(self, engine, threads, self.behaviours.get(engine, Behaviour()))

    def turns(self, kind: type) -> list[str]:
        """The engines that had such requests, in order."""
        return [engine for engine, _, name in self.asked if name == kind.__name__]


class Hand:
    """One of them."""

    def __init__(self, troupe: Troupe, engine: str, threads: int, behaviour: Behaviour) -> None:
        self._troupe = troupe
        self._name = (engine, threads)
        self._behaviour = behaviour
        self._session = Session(lambda: BehavedEngine(behaviour), threads)
        self._dead = False

    def send(self, request: Request) -> None:
        self._request = request

    def receive(self) -> Any:
        request = self._request
        self._troupe.asked.append((*self._name, type(request).__name__))
        self._dead = self._dead or type(request) is self._behaviour.dies_at
        if self._dead:
            raise WorkerFailed("its process ended with status -11")
        if isinstance(request, Peak):
            return self._behaviour.peak
        if isinstance(request, Measure):
            return [self._behaviour.seconds] * 3
        try:
            return self._session.answer(request)
        except ValueError as error:
            raise WorkerFailed(f"ValueError: {error}") from None

    def close(self) -> None:
        self._troupe.open -= 1
