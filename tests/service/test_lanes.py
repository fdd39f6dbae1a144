from dataclasses import dataclass

import pytest

from service.errors import Overloaded
from service.lanes import Lane, Lanes
from tests.service.plans import StillPlan


@dataclass(eq=False)
class Ticket:
    plan: StillPlan
    is_copy: bool = False


def lanes_of(limit: int = 8, max_batch: int = 2) -> Lanes[Ticket]:
    return Lanes(limit, max_batch)


def queued(lanes: Lanes[Ticket], plan: StillPlan, count: int, is_copy: bool = False) -> list[Ticket]:
    tickets = [Ticket(plan, is_copy) for _ in range(count)]
    for ticket in tickets:
        lanes.add(ticket)
    return tickets


def taken(lanes: Lanes[Ticket]) -> tuple[Lane[Ticket], list[Ticket]]:
    found = lanes.take()
    assert found is not None
    return found


def test_a_batch_is_the_oldest_of_one_plan() -> None:
    lanes, plan, other = lanes_of(), StillPlan(), StillPlan()
    first = queued(lanes, plan, 3)
    second = queued(lanes, other, 1)
    assert taken(lanes)[1] == first[:2]
    assert taken(lanes)[1] == second
    assert lanes.take() is None  # both plans are busy, though one has more
    assert lanes.depth == 1


def test_lanes_take_turns() -> None:
    lanes, plans = lanes_of(max_batch=1), [StillPlan() for _ in range(3)]
    for plan in plans:
        queued(lanes, plan, 2)
    order = []
    while (found := lanes.take()) is not None:
        order.append(plans.index(found[1][0].plan))
        lanes.finish(found[0], None)
    assert order == [0, 1, 2, 0, 1, 2]


def test_each_lane_is_full_for_itself() -> None:
    lanes, plan, other = lanes_of(limit=3, max_batch=2), StillPlan(), StillPlan()
    queued(lanes, plan, 3)
    queued(lanes, plan, 2, is_copy=True)
    for is_copy in (False, True):
        with pytest.raises(Overloaded):
            queued(lanes, plan, 1, is_copy)
    queued(lanes, other, 3)
    assert lanes.depth == 6


def test_copies_come_last_and_alone() -> None:
    lanes, plan, other = lanes_of(max_batch=3), StillPlan(), StillPlan()
    copies = queued(lanes, plan, 3, is_copy=True)
    assert (lanes.copies, lanes.depth) == (3, 0)
    queued(lanes, other, 1)
    assert lanes.take_copy() is None  # something else waits
    lane, batch = taken(lanes)
    assert batch[0].plan is other
    assert lanes.take_copy() is None  # something else is run
    assert lanes.take() is None
    lanes.finish(lane, None)
    found = lanes.take_copy()
    assert found is not None
    assert found[1] == copies[:1]
    assert lanes.take_copy() is None
    lanes.finish(found[0], None)
    assert lanes.take_copy() is not None
    lanes.drop_copies()
    assert lanes.take_copy() is None


def test_a_copy_makes_its_own_model_wait_and_no_other() -> None:
    lanes, plan, other = lanes_of(), StillPlan(), StillPlan()
    queued(lanes, plan, 1, is_copy=True)
    assert lanes.take_copy() is not None
    queued(lanes, plan, 1)
    waiting = queued(lanes, other, 1)
    assert taken(lanes)[1] == waiting
    assert lanes.take() is None


def test_the_backlog_is_what_waits_at_the_pace_of_late() -> None:
    lanes, plan = lanes_of(max_batch=1), StillPlan()
    lanes.keep(plan, lambda size: None)
    for _ in range(200):
        queued(lanes, plan, 1)
        lanes.finish(taken(lanes)[0], 0.5)
    queued(lanes, plan, 4)
    queued(lanes, plan, 1, is_copy=True)
    assert lanes.backlog_s == pytest.approx(2.0)


def test_a_lane_stays_only_while_it_is_kept_or_needed() -> None:
    lanes, plan = lanes_of(), StillPlan()
    lanes.keep(plan, lambda size: None)
    (ticket,) = queued(lanes, plan, 1)
    lanes.retire(plan)
    assert lanes.depth == 1
    lanes.discard(ticket)
    lanes.discard(ticket)
    assert not lanes._lanes
    queued(lanes, plan, 1)
    lane, _ = taken(lanes)
    assert lanes._lanes
    lanes.finish(lane, None)
    assert not lanes._lanes
    lanes.retire(plan)
