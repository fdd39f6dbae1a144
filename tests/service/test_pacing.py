"""Refusals keep a pace, their order, and a bound on how long they wait; time is the test's."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.pacing import LONGEST_S, TICK_S, USUAL_S, Pace


class Clock:
    """Stands for the event loop: what is called later runs when time has passed."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.due: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now_s

    def call_soon(self, action: Callable[..., object], *arguments: Any) -> None:
        self.call_later(0.0, action, *arguments)

    def call_later(self, wait_s: float, action: Callable[..., object], *arguments: Any) -> None:
        self.due.append((self.now_s + wait_s, action, arguments))

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while ready := sorted((each for each in self.due if each[0] <= until_s + 1e-9), key=lambda each: each[0]):
            self.due.remove(ready[0])
            self.now_s = max(self.now_s, ready[0][0])
            ready[0][1](*ready[0][2])
        self.now_s = until_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_few_go_at_once(clock: Clock) -> None:
    pace, done = Pace(500), []
    clock.pass_time(1.0)
    for _ in range(50):
        pace.follow(lambda: done.append(0))
    assert pace.waiting == 0
    clock.pass_time(0.0)
    assert len(done) == 50


def test_many_go_at_the_rate_in_their_order(clock: Clock) -> None:
    pace, done = Pace(500), list[int]()
    numbers = iter(range(10_000))
    for _ in range(300):
        pace.follow(lambda: done.append(next(numbers)))
    clock.pass_time(0.0)
    assert len(done) <= 50
    before = len(done)
    clock.pass_time(0.4)
    assert len(done) - before == pytest.approx(200, abs=500 * TICK_S + 1)
    assert done == sorted(done)
    clock.pass_time(0.4)
    assert (len(done), pace.waiting) == (300, 0)


def test_none_waits_longer_than_it_may_however_many_there_are(clock: Clock) -> None:
    pace, done = Pace(10), list[float]()
    for _ in range(1000):
        pace.follow(lambda: done.append(clock.now_s))
    clock.pass_time(LONGEST_S + TICK_S)
    assert len(done) == 1000
    assert max(done) <= 100.0 + LONGEST_S + TICK_S + 1e-9


def test_a_crowd_goes_evenly(clock: Clock) -> None:
    pace, done = Pace(10), list[float]()
    for _ in range(1000):
        pace.follow(lambda: done.append(clock.now_s))
    clock.pass_time(USUAL_S)
    assert 500 < len(done) < 700  # 1 - 1/e of them
    assert max(done.count(moment) for moment in set(done)) <= 1000 * TICK_S / USUAL_S + 1


def test_a_pause_saves_a_tenth_of_a_second_of_the_rate_and_no_more(clock: Clock) -> None:
    pace, done = Pace(100), list[int]()
    clock.pass_time(60.0)
    for _ in range(30):
        pace.follow(lambda: done.append(0))
    clock.pass_time(0.0)
    assert len(done) == 10
    assert pace.waiting == 20


def test_a_rate_of_0_lets_all_through(clock: Clock) -> None:
    pace, done = Pace(0), list[int]()
    for _ in range(5000):
        pace.follow(lambda: done.append(0))
    clock.pass_time(0.0)
    assert len(done) == 5000


def test_a_turn_is_awaited_in_the_same_row_and_may_be_given_up() -> None:
    async def main() -> None:
        pace, done = Pace(100), list[int]()
        waiting = [asyncio.create_task(pace.turn()) for _ in range(5)]
        for task in waiting:
            task.add_done_callback(lambda task: done.append(task.cancelled()))
        await asyncio.sleep(0)
        waiting[-1].cancel()
        await asyncio.wait(waiting)
        assert sorted(done) == [False] * 4 + [True]

    asyncio.run(main())
