"""The engine's threads: they take batches from the lanes, run them, and hand each picture its own answer.

An idle engine takes a lone picture at once; a busy one finds what has come in meanwhile and takes up to `max_batch` of
one model. Waiting for more would only add latency. A batch that fails is run again picture by picture, so that a
picture the engine cannot bear costs one request.

Threads are shared like this: `parallel_batches` threads serve all lanes (`service.lanes` says in which order), and
while a batch runs it uses as many threads as the engine was compiled for. No model has a thread of its own, so a store
of many models costs no threads, and no two batches compete for a core unless `parallel_batches` says so. Copies have
one thread more: it begins one only where the engine is idle, and a copy that hangs holds up nobody but its own model.
The event loop runs a picture itself where it would sleep while the engine is busy (`help_out`; `service.helping`).
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable

from service.engine import Plan
from service.engine.plan import Array, GatheringPlan
from service.errors import Draining, InferenceFailed, Overloaded
from service.lanes import Lane, Lanes
from service.logs import log
from service.runs import Outcome, Ticket, mean_picture_s, run_batch
from service.spans import Spans, record_batch

MAX_RETRY_AFTER_S = 60
MAX_HELP_S = 0.001  # that the event loop may spend on a picture


_Taken = tuple[Lane[Ticket], list[Ticket]]
_Take = Callable[[], _Taken | None]


class InferenceQueue:
    """Runs pictures through plans, batch by batch."""

    def __init__(self, limit: int, max_batch: int, parallel_batches: int = 1, spans: Spans | None = None) -> None:
        """A queue that is not started yet.

        Args:
            limit: most pictures waiting for one plan.
            max_batch: most pictures in one run.
            parallel_batches: how many plans may run at once.
            spans: told of every batch.
        """
        self._spans = spans
        self._lanes: Lanes[Ticket] = Lanes(limit, max_batch)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._idle = threading.Condition(self._lock)  # the copies' own, or their thread would wake for every picture
        self._stopping = False
        self._parallel_batches = parallel_batches
        self._workers = [
            self._worker(f"csrve-engine-{number}", self._lanes.take, self._changed)
            for number in range(parallel_batches)
        ]
        self._workers.append(self._worker("csrve-copies", self._lanes.take_copy, self._idle))

    def start(self) -> None:
        """Start the workers."""
        for worker in self._workers:
            worker.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Answer what is waiting, then end the workers. Blocks until they have, or until an engine took too long."""
        with self._lock:
            self._stopping = True
            self._lanes.drop_copies()
            self._changed.notify_all()
            self._idle.notify_all()
        until_s = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, until_s - time.monotonic()))
        if any(worker.is_alive() for worker in self._workers):
            log("engine still busy", {"timeout_s": timeout_s}, logging.WARNING)

    @property
    def depth(self) -> int:
        """Pictures waiting, those being run not counted."""
        with self._lock:
            return self._lanes.depth

    @property
    def retry_after_s(self) -> int:
        """When the queue will have emptied: what waits, at the mean time a picture took of late; whole seconds."""
        with self._lock:
            backlog_s = self._lanes.backlog_s
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(backlog_s / self._parallel_batches)))

    def keep(self, plan: Plan, observe_batch: Callable[[int], object] = lambda size: None) -> None:
        """Remember a plan's pace between batches, and tell `observe_batch` the size of each, until it is retired."""
        with self._lock:
            self._lanes.keep(plan, observe_batch)

    def retire(self, plan: Plan) -> None:
        """Hold a plan no longer than something waits for it."""
        with self._lock:
            self._lanes.retire(plan)

    def check_room(self, plan: Plan) -> None:
        """Refuse a picture before work is spent on decoding it.

        Raises:
            Overloaded: the plan's queue is full.
        """
        with self._lock:
            try:
                self._lanes.check_room(plan)
            except Overloaded as error:
                raise Overloaded(str(error), self.retry_after_s) from None

    async def infer(self, plan: Plan, picture: Array, *, is_copy: bool = False) -> Outcome:
        """Wait for a picture's turn and its logits. Cancelling gives its place up.

        Args:
            plan: need not be kept.
            picture: normalised, float32 [channels, height, width].
            is_copy: nobody waits for the answer: it is run when the engine has nothing else to do.

        Raises:
            Overloaded: the plan's queue is full.
            Draining: the service is stopping.
            InferenceFailed: the engine failed on this picture.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(outcome: Outcome | None) -> None:
            if future.done():
                return
            if outcome is None:
                future.set_exception(engine_failed())
            else:
                future.set_result(outcome)

        ticket = self.submit(plan, picture, tell, is_copy=is_copy)
        try:
            return await future
        finally:
            if future.cancelled():
                self.withdraw(ticket)

    def submit(
        self, plan: Plan, picture: Array, tell: Callable[[Outcome | None], object], *, is_copy: bool = False
    ) -> Ticket:
        """Queue a picture; `tell` is called in the running loop when it was run. Otherwise as `infer`.

        Raises:
            Overloaded: the plan's queue is full.
            Draining: the service is stopping.
        """
        loop = asyncio.get_running_loop()
        ticket = Ticket(plan, is_copy, picture, loop, tell, self._spans and self._spans.ask())
        with self._lock:
            if self._stopping:
                raise Draining
            try:
                self._lanes.add(ticket)
            except Overloaded as error:
                raise Overloaded(str(error), self.retry_after_s) from None
            (self._idle if ticket.is_copy else self._changed).notify()
        return ticket

    def help_out(self) -> bool:
        """Run one picture on the caller's thread, where the engine's is busy and others wait. False where there is
        nothing to do, or it would take long: the caller is the event loop, which all wait for.
        """
        with self._lock:
            idle = self._stopping or self._spans is not None  # spans are of the engine's thread
            taken = None if idle else self._lanes.take_one(_is_shortly_done)
        if taken is None:
            return False
        lane, batch = taken
        lane.observe_batch(len(batch))
        for run in run_batch(lane.plan, batch):
            run.deliver()
        return True

    def withdraw(self, ticket: Ticket) -> None:
        """Give a picture's place up, if it still waits."""
        with self._lock:
            self._lanes.discard(ticket)

    def _worker(self, name: str, take: _Take, changed: threading.Condition) -> threading.Thread:
        return threading.Thread(target=self._work, args=(take, changed), name=name, daemon=True)

    def _work(self, take: _Take, changed: threading.Condition) -> None:
        while self._serve(self._next(take, changed)):
            pass  # holding no plan: one that was retired is freed while this thread waits

    def _serve(self, taken: _Taken | None) -> bool:
        """Run and answer a batch; False where there is none."""
        if taken is None:
            return False
        lane, batch = taken
        began_s = time.perf_counter()
        lane.observe_batch(len(batch))
        runs = run_batch(lane.plan, batch)
        if self._spans is not None:
            for run in runs:
                run.outcomes()  # before the loop does
        for run in runs:
            run.deliver()
        with self._lock:
            self._lanes.finish(lane, mean_picture_s(runs))
            self._wake()
        if self._spans is not None:
            record_batch(self._spans, lane.plan, runs, began_s)
        return True

    def _wake(self) -> None:
        """Tell those who wait that a lane is free."""
        if self._stopping:
            self._changed.notify_all()
            self._idle.notify_all()
        elif self._lanes.depth:
            self._changed.notify()
        elif self._lanes.copies:
            self._idle.notify()

    def _next(self, take: _Take, changed: threading.Condition) -> _Taken | None:
        """The next batch, waited for; None where the service stops and nothing waits."""
        with self._lock:
            while (taken := take()) is None:
                if self._stopping and not self._lanes.depth:
                    return None
                changed.wait()
        return taken


def _is_shortly_done(lane: Lane[Ticket]) -> bool:
    return isinstance(lane.plan, GatheringPlan) and lane.picture_s <= MAX_HELP_S


def engine_failed() -> InferenceFailed:
    """The answer to who sent a picture that the engine cannot bear."""
    return InferenceFailed("The engine failed on this picture.")
