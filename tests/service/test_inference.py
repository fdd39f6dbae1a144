import asyncio
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from service import inference
from service.engine.plan import Array
from service.errors import Draining, InferenceFailed, Overloaded
from service.inference import InferenceQueue


class CountingPlan:
    """Answers each picture with its mean; -1 makes it raise, -2 makes it answer NaN. Runs only while `open`."""

    name = "counting"
    input_shape = (1, 2, 2)
    classes = 1
    resident_bytes = 0
    layer_bytes: Mapping[str, int] = {}

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def run(self, batch: Array) -> Array:
        self.entered.set()
        assert self.open.wait(10)
        self.batches.append(len(batch))
        means = batch.mean(axis=(1, 2, 3)).reshape(-1, 1)
        if (means == -1).any():
            raise MemoryError("secret")
        return np.where(means == -2, np.float32(np.nan), means).astype(np.float32)


def picture(value: float) -> Array:
    return np.full((1, 2, 2), value, dtype=np.float32)


class NoSpans:
    """Spans that nobody looks at."""

    def ask(self) -> object:
        return None

    def record(self, *arguments: object) -> None:
        pass


@contextmanager
def running(
    limit: int = 8, max_batch: int = 4, parallel: int = 1, spans: NoSpans | None = None
) -> Iterator[InferenceQueue]:
    queue = InferenceQueue(limit, max_batch, parallel, spans)
    queue.start()
    try:
        yield queue
    finally:
        queue.stop()


async def blocked(queue: InferenceQueue, plan: CountingPlan) -> "asyncio.Task[float]":
    """A task whose picture the engine is busy with until `plan.open` is set."""
    plan.open.clear()
    plan.entered.clear()
    task = asyncio.create_task(answer(queue, plan, 0))
    while not plan.entered.is_set():
        await asyncio.sleep(0.001)
    return task


async def answer(queue: InferenceQueue, plan: CountingPlan, value: float) -> float:
    return float((await queue.infer(plan, picture(value))).logits[0])


async def enqueue(queue: InferenceQueue, plan: CountingPlan, values: list[float]) -> "list[asyncio.Task[float]]":
    tasks = [asyncio.create_task(answer(queue, plan, value)) for value in values]
    await asyncio.sleep(0)
    return tasks


def test_a_lone_picture_is_run_at_once() -> None:
    async def main() -> None:
        outcome = await queue.infer(plan, picture(3))
        assert outcome.batch_size == 1
        assert outcome.started_s <= outcome.ended_s
        assert float(outcome.logits[0]) == 3

    plan = CountingPlan()
    with running() as queue:
        started_s = time.perf_counter()
        asyncio.run(main())
        assert time.perf_counter() - started_s < 1
    assert plan.batches == [1]


def test_what_waits_is_run_in_batches_and_each_gets_its_own_answer() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2, 3, 4, 5, 6])
        assert queue.depth == 6
        plan.open.set()
        assert await asyncio.gather(first, *tasks) == [0, 1, 2, 3, 4, 5, 6]
        assert queue.depth == 0

    plan = CountingPlan()
    sizes: list[int] = []
    with running() as queue:
        queue.keep(plan, sizes.append)
        asyncio.run(main())
    assert plan.batches == sizes == [1, 4, 2]


def test_models_are_not_mixed_in_a_batch() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2]) + await enqueue(queue, other, [3]) + await enqueue(queue, plan, [4])
        plan.open.set()
        assert await asyncio.gather(first, *tasks) == [0, 1, 2, 3, 4]

    plan, other = CountingPlan(), CountingPlan()
    with running() as queue:
        asyncio.run(main())
    assert (plan.batches, other.batches) == ([1, 3], [1])


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2])
        with pytest.raises(Overloaded) as caught:
            await queue.infer(plan, picture(3))
        assert str(caught.value) == "Too many pictures are waiting already."
        assert caught.value.retry_after_s == 1
        plan.open.set()
        assert await asyncio.gather(first, *tasks) == [0, 1, 2]
        assert await answer(queue, plan, 4) == 4

    plan = CountingPlan()
    with running(limit=2) as queue:
        asyncio.run(main())


def test_a_refusal_names_the_time_that_what_waits_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        plan.open.set()
        for _ in range(50):  # the mean forgets its first guess
            await answer(queue, plan, 0)
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2, 3, 4])
        with pytest.raises(Overloaded) as caught:
            await queue.infer(plan, picture(5))
        assert caught.value.retry_after_s == queue.retry_after_s == 12  # 4 pictures, 3 s each but for the guess
        plan.open.set()
        await asyncio.gather(first, *tasks)
        assert queue.retry_after_s == 1

    clock = iter(range(0, 3000, 3))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    plan = CountingPlan()
    with running(limit=4, max_batch=1) as queue:
        queue.keep(plan)
        asyncio.run(main())


def test_two_hundred_different_pictures_get_their_own_answers() -> None:
    async def main() -> None:
        values = [float(number) for number in range(100)]
        plans = (plan, other) * 100
        answers = [answer(queue, each, value) for each, value in zip(plans, values * 2, strict=True)]
        assert await asyncio.gather(*answers) == values * 2

    plan, other = CountingPlan(), CountingPlan()
    with running(limit=1000, max_batch=7, parallel=2) as queue:
        asyncio.run(main())
    assert sum(plan.batches) == sum(other.batches) == 100


def test_a_model_that_is_asked_for_all_the_time_keeps_no_other_waiting() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2, 3, 4, 5, 6])
        tasks += await enqueue(queue, other, [7])
        plan.open.set()
        await asyncio.gather(first, *tasks)

    order: list[str] = []
    plan, other = CountingPlan(), CountingPlan()
    with running(max_batch=2) as queue:
        queue.keep(plan, lambda size: order.append(f"plan {size}"))
        queue.keep(other, lambda size: order.append(f"other {size}"))
        asyncio.run(main())
    assert order == ["plan 1", "other 1", "plan 2", "plan 2", "plan 2"]


def test_a_copy_is_run_when_nothing_else_waits() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        copies = [asyncio.create_task(queue.infer(other, picture(value), is_copy=True)) for value in (1, 2)]
        await asyncio.sleep(0)
        assert queue.depth == 0
        tasks = await enqueue(queue, plan, [3, 4])
        plan.open.set()
        await asyncio.gather(first, *tasks)
        assert [float((await copy).logits[0]) for copy in copies] == [1, 2]

    order: list[str] = []
    plan, other = CountingPlan(), CountingPlan()
    with running() as queue:
        queue.keep(plan, lambda size: order.append(f"plan {size}"))
        queue.keep(other, lambda size: order.append(f"copy {size}"))
        asyncio.run(main())
    assert order == ["plan 1", "plan 2", "copy 1", "copy 1"]


class SharedPlan(CountingPlan):
    """One that several threads may run: the engine's waits until it is `open`, others do not."""

    def run_pictures(self, pictures: Sequence[Array]) -> Array:
        if threading.current_thread().name.startswith("csrve-engine"):
            return self.run(np.stack(pictures))
        if float(pictures[0][0, 0, 0]) == -1:
            raise MemoryError("secret")
        return np.array([[picture.mean()] for picture in pictures], dtype=np.float32)


def test_the_loop_runs_one_of_those_that_wait_behind_a_batch_and_leaves_two(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        assert not queue.help_out()  # the engine is idle
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2, 3, 4])
        assert [queue.help_out() for _ in range(3)] == [True, True, False]
        assert await asyncio.gather(*tasks[:2]) == [1, 2]
        plan.open.set()
        assert await asyncio.gather(first, *tasks[2:]) == [0, 3, 4]

    monkeypatch.setattr(inference, "MAX_HELP_S", 1.0)
    plan, sizes = SharedPlan(), list[int]()
    with running() as queue:
        queue.keep(plan, sizes.append)
        asyncio.run(main())
    assert sizes == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("plan", "limit_s", "spans"),
    [(SharedPlan(), 0.001, None), (CountingPlan(), 1.0, None), (SharedPlan(), 1.0, NoSpans())],
    ids=["would take long", "bears one run at a time", "spans are of the engine's thread"],
)
def test_the_loop_leaves_to_the_engine_what_it_should_not_run(
    plan: CountingPlan, limit_s: float, spans: NoSpans | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2, 3, 4])
        assert not queue.help_out()
        plan.open.set()
        assert await asyncio.gather(first, *tasks) == [0, 1, 2, 3, 4]

    monkeypatch.setattr(inference, "MAX_HELP_S", limit_s)
    with running(spans=spans) as queue:
        asyncio.run(main())


def test_a_picture_that_the_loop_fails_on_costs_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [-1, 2, 3])
        assert queue.help_out()
        with pytest.raises(InferenceFailed):
            await tasks[0]
        plan.open.set()
        assert await asyncio.gather(first, *tasks[1:]) == [0, 2, 3]

    monkeypatch.setattr(inference, "MAX_HELP_S", 1.0)
    plan = SharedPlan()
    with running() as queue:
        asyncio.run(main())


def test_a_plan_that_was_retired_is_freed() -> None:
    async def main() -> None:
        plan = CountingPlan()
        queue.keep(plan)
        await answer(queue, plan, 1)
        freed = weakref.ref(plan)
        queue.retire(plan)
        del plan
        for _ in range(1000):
            if freed() is None:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("held")

    with running() as queue:
        asyncio.run(main())


def test_an_engine_that_answers_too_few_rows_fails_its_requests_only() -> None:
    async def main() -> None:
        with pytest.raises(InferenceFailed):
            await queue.infer(short, picture(1))
        assert await answer(queue, plan, 2) == 2

    class ShortPlan(CountingPlan):
        def run(self, batch: Array) -> Array:
            return super().run(batch)[1:]

    plan, short = CountingPlan(), ShortPlan()
    with running() as queue:
        asyncio.run(main())


def test_who_leaves_gives_his_place_up() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        leaving, staying = await enqueue(queue, plan, [1, 2])
        leaving.cancel()
        await asyncio.sleep(0)
        assert queue.depth == 1
        tasks = await enqueue(queue, plan, [3])
        plan.open.set()
        assert await asyncio.gather(first, staying, *tasks) == [0, 2, 3]
        assert leaving.cancelled()

    plan = CountingPlan()
    with running(limit=2) as queue:
        asyncio.run(main())
    assert plan.batches == [1, 2]


def test_who_leaves_while_he_is_served_harms_nobody() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        first.cancel()
        await asyncio.sleep(0)
        plan.open.set()
        assert await answer(queue, plan, 5) == 5

    plan = CountingPlan()
    with running() as queue:
        asyncio.run(main())


@pytest.mark.parametrize("bad", [-1, -2])
def test_a_picture_the_engine_fails_on_costs_one_request(bad: int) -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, bad, 3])
        plan.open.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert [results[0], results[1], results[3]] == [0, 1, 3]
        assert isinstance(results[2], InferenceFailed)
        assert str(results[2]) == "The engine failed on this picture."
        assert await answer(queue, plan, 9) == 9

    plan = CountingPlan()
    with running() as queue:
        asyncio.run(main())


def test_stopping_answers_what_waits_and_refuses_what_comes() -> None:
    async def main() -> None:
        first = await blocked(queue, plan)
        tasks = await enqueue(queue, plan, [1, 2])
        plan.open.set()
        await asyncio.to_thread(queue.stop)
        assert await asyncio.gather(first, *tasks) == [0, 1, 2]
        with pytest.raises(Draining) as caught:
            await queue.infer(plan, picture(3))
        assert str(caught.value) == "The service is stopping."

    plan = CountingPlan()
    queue = InferenceQueue(8, 4)
    queue.start()
    asyncio.run(main())


def test_an_engine_that_hangs_does_not_hold_the_end_up(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = await blocked(queue, plan)
        await asyncio.to_thread(queue.stop, 0.01)
        plan.open.set()
        assert await task == 0

    plan = CountingPlan()
    queue = InferenceQueue(8, 4)
    queue.start()
    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["engine still busy"]


def test_an_answer_after_the_loop_has_closed_is_dropped() -> None:
    async def main() -> None:
        task = await blocked(queue, plan)
        task.cancel()

    plan = CountingPlan()
    with running() as queue:
        asyncio.run(main())
        plan.open.set()
