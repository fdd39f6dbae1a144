"""What the engine's threads tell of their batches."""

import logging
import time
from collections.abc import Sequence
from typing import Protocol

from service.engine import Plan
from service.logs import log
from service.runs import Outcome, Run


class Spans(Protocol):
    """Who is told of every batch, once it was answered; see `service.tracing`."""

    def ask(self) -> object:
        """Called where a picture begins to wait; `record` gets what this returns."""

    def record(
        self, engine: str, members: Sequence[tuple[object, Outcome | None]], began_s: float, ended_s: float
    ) -> None:
        """Called after a batch, by the engine's thread."""


def record_batch(spans: Spans, plan: Plan, runs: Sequence[Run], began_s: float) -> None:
    """Tell them of a batch that ended now. What they raise is logged: the engine's thread must go on."""
    members = [
        (ticket.asked, outcome) for run in runs for ticket, outcome in zip(run.tickets, run.outcomes(), strict=True)
    ]
    try:
        spans.record(plan.name, members, began_s, time.perf_counter())
    except Exception as error:
        log("crash", {"during": "tracing"}, logging.ERROR, error)
