import asyncio
import logging
from collections.abc import Callable

import numpy as np
import pytest

from service.engine.plan import Array
from service.runs import Outcome, Run, Ticket, mean_picture_s, run_batch
from tests.service.plans import StillPlan

Tell = Callable[[Outcome | None], object]


def ignore(outcome: Outcome | None) -> None:
    pass


def ticket(loop: asyncio.AbstractEventLoop, tell: Tell = ignore, value: float = 0.0) -> Ticket:
    return Ticket(StillPlan(), False, np.full((1, 1, 1), value, dtype=np.float32), loop, tell)


def run(tickets: list[Ticket], logits: Array | None) -> Run:
    return Run("still", tickets, logits, 1.0, 3.0)


def values(told: list[Outcome | None]) -> list[float | None]:
    return [None if outcome is None else float(outcome.logits[0]) for outcome in told]


async def settled() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_each_picture_gets_its_own_row_and_the_time_that_all_of_them_took() -> None:
    told: list[Outcome | None] = []

    async def deliver() -> None:
        loop = asyncio.get_running_loop()
        tickets = [ticket(loop, told.append) for _ in range(2)]
        run(tickets, np.array([[5.0], [6.0]], dtype=np.float32)).deliver()
        assert not told  # the engine's thread only wakes the loop
        await settled()

    asyncio.run(deliver())
    assert values(told) == [5.0, 6.0]
    assert [(each.started_s, each.ended_s, each.batch_size, each.picture_s) for each in told if each] == [
        (1.0, 3.0, 2, 1.0)
    ] * 2


def test_each_loop_tells_those_who_wait_in_it() -> None:
    told: dict[str, list[Outcome | None]] = {"one": [], "other": []}
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    tickets = [ticket(one, told["one"].append), ticket(other, told["other"].append), ticket(one, told["one"].append)]
    run(tickets, np.arange(3, dtype=np.float32).reshape(3, 1)).deliver()
    for loop in (one, other):
        loop.run_until_complete(settled())
        loop.close()
    assert values(told["one"]) == [0.0, 2.0]
    assert values(told["other"]) == [1.0]


def test_a_row_that_is_not_finite_fails_its_own_picture_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    finished = run([ticket(loop), ticket(loop)], np.array([[np.inf], [1.0]], dtype=np.float32))
    assert values(finished.outcomes()) == [None, 1.0]
    assert finished.outcomes() is finished.outcomes()
    assert [record.getMessage() for record in caplog.records].count("logits not finite") == 1
    loop.close()


def test_a_mistake_in_one_answer_does_not_cost_the_others_theirs(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Outcome | None] = []

    def fail(outcome: Outcome | None) -> None:
        raise ValueError("secret")

    loop = asyncio.new_event_loop()
    run([ticket(loop, fail), ticket(loop, told.append)], np.ones((2, 1), dtype=np.float32)).deliver()
    loop.run_until_complete(settled())
    loop.close()
    assert values(told) == [1.0]
    assert [record.levelno for record in caplog.records if record.getMessage() == "crash"] == [logging.ERROR]


class Fragile(StillPlan):
    """Fails on every batch that has a 1 in it."""

    def run(self, batch: Array) -> Array:
        if (batch == 1).any():
            raise MemoryError("secret")
        return batch.reshape(-1, 1)


def test_a_batch_that_fails_is_run_again_picture_by_picture() -> None:
    loop = asyncio.new_event_loop()
    runs = run_batch(Fragile(), [ticket(loop, value=value) for value in (0.0, 1.0, 2.0)])
    assert [values(each.outcomes()) for each in runs] == [[0.0], [None], [2.0]]
    loop.close()


def test_the_pace_is_that_of_what_was_run() -> None:
    loop = asyncio.new_event_loop()
    tickets = [ticket(loop), ticket(loop)]
    assert mean_picture_s([run(tickets, np.ones((2, 1), dtype=np.float32)), run(tickets[:1], None)]) == 1.0
    assert mean_picture_s([run(tickets[:1], None)]) is None
    loop.close()
