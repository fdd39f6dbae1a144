"""The queue before the engine: bounded, one worker thread, batches made of what is waiting.

An idle worker takes a lone picture at once; a busy one finds what has come in meanwhile and takes up to `max_batch` of
the same model. Waiting for more would only add latency. A batch that fails is run again picture by picture, so that a
picture the engine cannot bear costs one request.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.engine import Plan
from service.engine.plan import Array
from service.errors import InferenceFailed, Overloaded
from service.logs import log


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a picture: float32 logits [classes], and when the engine began and ended (perf_counter)."""

    logits: Array
    started_s: float
    ended_s: float
    batch_size: int


@dataclass(slots=True, eq=False)
class _Ticket:
    plan: Plan
    picture: Array
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Outcome]"
    outcome: Outcome | None = None  # None after a run: the engine failed on it


class InferenceQueue:
    """Runs pictures through plans, one batch at a time."""

    def __init__(self, limit: int, max_batch: int, observe_batch: Callable[[int], object] = lambda size: None) -> None:
        self._limit = limit
        self._max_batch = max_batch
        self._observe_batch = observe_batch
        self._waiting: deque[_Ticket] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._batch_seconds = 0.01
        self._worker = threading.Thread(target=self._work, name="csrve-engine", daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._worker.start()

    def stop(self) -> None:
        """Answer what is waiting, then end the worker. Blocks until it has."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._worker.join()

    @property
    def depth(self) -> int:
        """Pictures waiting, those being run not counted."""
        return len(self._waiting)

    async def infer(self, plan: Plan, picture: Array) -> Outcome:
        """Wait for a picture's turn and its logits. Cancelling gives its place up.

        Raises:
            Overloaded: the queue is full, or stopping.
            InferenceFailed: the engine failed on this picture.
        """
        loop = asyncio.get_running_loop()
        ticket = _Ticket(plan, picture, loop, loop.create_future())
        with self._changed:
            if self._stopping:
                raise Overloaded("The service is stopping.")
            if len(self._waiting) >= self._limit:
                raise Overloaded("Too many pictures are waiting already.", self._retry_after_s())
            self._waiting.append(ticket)
            self._changed.notify()
        try:
            return await ticket.future
        finally:
            self._give_up(ticket)

    def _give_up(self, ticket: _Ticket) -> None:
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    def _retry_after_s(self) -> int:
        """When the queue will have emptied, at the pace of late."""
        return max(1, round(self._batch_seconds * (1 + self._limit / self._max_batch)))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch = self._take_batch()
            self._observe_batch(len(batch))
            _run(batch)
            if batch[0].outcome is not None:
                seconds = batch[0].outcome.ended_s - batch[0].outcome.started_s
                self._batch_seconds += 0.1 * (seconds - self._batch_seconds)
            for ticket in batch:
                _deliver(ticket)

    def _take_batch(self) -> list[_Ticket]:
        """The oldest picture, and those of the same model behind it."""
        plan = self._waiting[0].plan
        batch = [ticket for ticket in self._waiting if ticket.plan is plan][: self._max_batch]
        for ticket in batch:
            self._waiting.remove(ticket)
        return batch


def _run(batch: list[_Ticket]) -> None:
    started_s = time.perf_counter()
    try:
        logits = batch[0].plan.run(np.stack([ticket.picture for ticket in batch]))
    except Exception as error:  # whatever an engine raises costs its own request, never the worker
        if len(batch) > 1:
            for ticket in batch:
                _run([ticket])
        else:
            log("engine failed", {"engine": batch[0].plan.name}, logging.ERROR, error)
        return
    ended_s = time.perf_counter()
    for ticket, row in zip(batch, logits, strict=True):
        if np.isfinite(row).all():
            ticket.outcome = Outcome(row, started_s, ended_s, len(batch))
        else:
            log("logits not finite", {"engine": ticket.plan.name}, logging.ERROR)


def _deliver(ticket: _Ticket) -> None:
    def resolve() -> None:
        if ticket.future.done():
            return
        if ticket.outcome is None:
            ticket.future.set_exception(InferenceFailed("The engine failed on this picture."))
        else:
            ticket.future.set_result(ticket.outcome)

    try:
        ticket.loop.call_soon_threadsafe(resolve)
    except RuntimeError:  # the loop has closed: nobody is left to hear of it
        log("answer came after the end", {}, logging.WARNING)
