import asyncio

import pytest

from model_store.preprocessing import Preprocessing
from service.errors import NoRoom
from service.loading import LoadedModel
from service.metrics import Metrics
from service.residency import Residency
from tests.service.plans import StillPlan
from tests.service.test_metrics import details


def model(version: int, resident_bytes: int = 10) -> LoadedModel:
    about = details(version)
    series = Metrics().models.add(about, "still")
    preprocessing = Preprocessing(1, 1, (0.0,), (1.0,))
    return LoadedModel("m", version, StillPlan(resident_bytes), preprocessing, ("a",), about, "", series)


class Memory:
    """A residency that remembers who came and went."""

    def __init__(self, limit_bytes: int) -> None:
        self.came: list[int] = []
        self.left: list[int] = []
        self.evictions = 0
        self.residency = Residency(
            limit_bytes,
            lambda model: self.came.append(model.version),
            lambda model: self.left.append(model.version),
            self._evict,
        )

    def _evict(self) -> None:
        self.evictions += 1

    @property
    def versions(self) -> list[int]:
        return [model.version for model in self.residency.all()]


def test_those_used_longest_ago_go_first_and_no_more_of_them_than_needed() -> None:
    memory = Memory(30)
    for version in (1, 2, 3):
        memory.residency.put(model(version))
    memory.residency.get(("m", 1))
    assert memory.residency.make_room(10, set())
    assert (memory.versions, memory.left, memory.evictions) == ([1, 3], [2], 1)
    assert memory.residency.make_room(5, set())
    assert memory.left == [2]
    assert memory.residency.make_room(30, set())
    assert (memory.left, memory.residency.resident_bytes) == ([2, 3, 1], 0)


def test_where_those_in_use_leave_no_room_nothing_goes() -> None:
    memory = Memory(30)
    models = [model(version) for version in (1, 2, 3)]
    for each in models:
        memory.residency.put(each)
    with memory.residency.used(models[0]), memory.residency.used(models[0]):
        assert not memory.residency.make_room(25, set())
        assert memory.left == []
        assert memory.residency.make_room(20, set())
        assert memory.left == [2, 3]
    assert memory.residency.make_room(30, set())


def test_what_is_replaced_does_not_count() -> None:
    memory = Memory(20)
    old = model(1, 20)
    memory.residency.put(old)
    with memory.residency.used(old):
        assert memory.residency.make_room(20, {("m", 1)})
        memory.residency.put(model(2, 20))
        memory.residency.retire(("m", 1))
        assert (memory.versions, memory.left, memory.residency.resident_bytes) == ([2], [], 40)
    assert (memory.left, memory.residency.resident_bytes) == ([1], 20)


def test_a_version_in_use_leaves_when_the_last_who_uses_it_is_done() -> None:
    memory = Memory(100)
    first, second = model(1), model(1)
    memory.residency.put(first)
    with memory.residency.used(first):
        with memory.residency.used(first):
            memory.residency.put(second)
        assert memory.left == []
    assert memory.left == [1]
    assert memory.residency.get(("m", 1)) is second


def test_a_plan_larger_than_the_memory_is_told_so() -> None:
    with pytest.raises(NoRoom) as caught:
        Memory(9).residency.make_room(10, set())
    assert str(caught.value) == "resident_bytes 10, must be at most 9"
    assert Memory(10).residency.fits(10)
    assert not Memory(10).residency.fits(11)


def test_who_waits_for_room_is_woken_when_a_version_is_used_no_more() -> None:
    async def main() -> None:
        memory = Memory(10)
        only = model(1)
        memory.residency.put(only)
        with memory.residency.used(only):
            waiting = asyncio.create_task(memory.residency.wait_for_room())
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(main())
