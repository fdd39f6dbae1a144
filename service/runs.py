"""Batches that were run, and how each picture's answer finds who waits for it.

The engine's thread runs and delivers; what an answer is made of is made in the loop that waits for it, as the engine's
thread has the next batch to run.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.engine import Plan
from service.engine.plan import Array, run_pictures
from service.errors import EngineFailure
from service.logs import log


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a picture: float32 logits [classes], and when the engine began and ended (perf_counter)."""

    logits: Array
    started_s: float
    ended_s: float
    batch_size: int

    @property
    def picture_s(self) -> float:
        """The engine's time for one picture of the batch."""
        return (self.ended_s - self.started_s) / self.batch_size


@dataclass(slots=True, eq=False)
class Ticket:
    """A picture that waits, or is being run, and who is told.

    Attributes:
        tell: called in the loop with what became of it, None where the engine failed on it.
    """

    plan: Plan
    is_copy: bool
    picture: Array
    loop: asyncio.AbstractEventLoop
    tell: Callable[[Outcome | None], object]
    asked: object = None


@dataclass(slots=True, eq=False)
class Run:
    """Pictures that were run together, and what the engine said.

    Attributes:
        logits: float32 [pictures, classes]; None where the engine failed on the one picture that this is.
        started_s, ended_s: as in `Outcome`.
    """

    plan_name: str
    tickets: Sequence[Ticket]
    logits: Array | None
    started_s: float
    ended_s: float
    _outcomes: list[Outcome | None] | None = None

    def outcomes(self) -> list[Outcome | None]:
        """What became of each picture. Made when asked for: the engine's thread has the next batch to run."""
        if self._outcomes is None:
            self._outcomes = self._judge()
        return self._outcomes

    def _judge(self) -> list[Outcome | None]:
        if self.logits is None:
            return [None] * len(self.tickets)
        size, all_finite = len(self.tickets), bool(np.isfinite(self.logits).all())  # once for all, as a rule
        outcomes: list[Outcome | None] = []
        for row in self.logits:
            if all_finite or np.isfinite(row).all():
                outcomes.append(Outcome(row, self.started_s, self.ended_s, size))
            else:
                log("logits not finite", {"engine": self.plan_name}, logging.ERROR)
                outcomes.append(None)
        return outcomes

    def deliver(self) -> None:
        """Wake each loop that somebody waits in, once."""
        for loop in {ticket.loop for ticket in self.tickets}:
            try:
                loop.call_soon_threadsafe(self._tell, loop)
            except RuntimeError:  # the loop has closed: nobody is left to hear of it
                log("answer came after the end", {}, logging.WARNING)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        for ticket, outcome in zip(self.tickets, self.outcomes(), strict=True):
            if ticket.loop is not loop:
                continue
            try:
                ticket.tell(outcome)
            except Exception as error:  # one's mistake must not cost the others their answers
                log("crash", {"during": "an answer"}, logging.ERROR, error)


def run_batch(plan: Plan, batch: Sequence[Ticket]) -> list[Run]:
    """Run a batch; again picture by picture if it fails, so that one the engine cannot bear costs its own request."""
    started_s = time.perf_counter()
    try:
        logits = run_pictures(plan, [ticket.picture for ticket in batch])
        if len(logits) != len(batch):
            raise EngineFailure(f"{len(logits)} rows of logits, must be {len(batch)}, one a picture")
    except Exception as error:  # whatever an engine raises costs its own request, never the worker
        if len(batch) > 1:
            return [run for ticket in batch for run in run_batch(plan, [ticket])]
        log("engine failed", {"engine": plan.name}, logging.ERROR, error)
        return [Run(plan.name, batch, None, started_s, time.perf_counter())]
    return [Run(plan.name, batch, logits, started_s, time.perf_counter())]


def mean_picture_s(runs: Sequence[Run]) -> float | None:
    """The engine's time for a picture; None where it failed on all."""
    paces = [(run.ended_s - run.started_s) / len(run.tickets) for run in runs if run.logits is not None]
    return sum(paces) / len(paces) if paces else None
