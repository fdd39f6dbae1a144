"""The workers of one number of threads: all may prepare at once, but one at a time is measured."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from service.bench.worker import Request, Worker
from service.errors import WorkerFailed


class Hand(Protocol):
    """A worker, or what stands for one."""

    def send(self, request: Request) -> None: ...
    def receive(self) -> Any: ...
    def close(self) -> None: ...


Start = Callable[[str, int], Hand]


class Crew:
    """A worker for each engine. Leaving the context ends them."""

    def __init__(self, engines: Iterable[str], threads: int, start: Start = Worker) -> None:
        self.threads = threads
        self._workers: dict[str, Hand] = {}
        try:
            for engine in engines:
                self._workers[engine] = start(engine, threads)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()

    def ask(self, engine: str, request: Request) -> Any:
        """One worker's answer, while all the others idle.

        Raises:
            WorkerFailed: it could not.
        """
        self._workers[engine].send(request)
        return self._workers[engine].receive()

    def ask_all(self, requests: Mapping[str, Request]) -> tuple[dict[str, Any], dict[str, str]]:
        """The answers of several workers that work at the same time, and why others gave none."""
        answers: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for step in ("send", "receive"):
            for engine, request in requests.items():
                if engine in problems:
                    continue
                try:
                    if step == "send":
                        self._workers[engine].send(request)
                    else:
                        answers[engine] = self._workers[engine].receive()
                except WorkerFailed as error:
                    problems[engine] = str(error)
        return answers, problems
