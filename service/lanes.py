"""Whose turn it is: each plan has a lane, a queue of its own, and the lanes are served in turn, a batch at a time.

A lane that was served goes behind the others, so a model that is asked for all the time cannot keep another waiting
for more than one batch of each. Copies (what nobody waits for, see `service.comparisons`) are taken one at a time,
where the engine has nothing else to do.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from service.engine import Plan
from service.errors import Overloaded

_FIRST_GUESS_S = 0.01
_FULL = "Too many pictures are waiting already."
_LEFT_WAITING = 2  # for the thread that will be free soon
_MEMORY = 0.1  # how much the last batch counts in the mean


class Ticket(Protocol):
    """A picture that waits for a plan."""

    @property
    def plan(self) -> Plan: ...
    @property
    def is_copy(self) -> bool: ...


_Waiting = TypeVar("_Waiting", bound=Ticket)


@dataclass(slots=True, eq=False)
class Lane(Generic[_Waiting]):
    """What waits for one plan.

    Attributes:
        observe_batch: told the size of each batch.
        kept: whether it stays when nothing waits; set from `keep` to `retire`.
        busy: whether a thread runs the plan. A plan bears one at a time.
        picture_s: mean time of the engine for one picture, of late.
    """

    plan: Plan
    observe_batch: Callable[[int], object]
    kept: bool = False
    busy: bool = False
    picture_s: float = _FIRST_GUESS_S
    waiting: deque[_Waiting] = field(default_factory=deque)
    copies: deque[_Waiting] = field(default_factory=deque)


class Lanes(Generic[_Waiting]):
    """All lanes. Knows no threads: whoever uses it from several holds a lock."""

    def __init__(self, limit: int, max_batch: int) -> None:
        self._limit = limit
        self._max_batch = max_batch
        self._lanes: OrderedDict[int, Lane[_Waiting]] = OrderedDict()  # by the plan's id: the lane keeps the plan alive

    @property
    def depth(self) -> int:
        """Pictures waiting in all lanes; copies and those being run not counted."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    @property
    def copies(self) -> int:
        """Copies waiting in all lanes."""
        return sum(len(lane.copies) for lane in self._lanes.values())

    @property
    def backlog_s(self) -> float:
        """How long what waits will take, at the pace of late, on one thread."""
        return sum(len(lane.waiting) * lane.picture_s for lane in self._lanes.values())

    def keep(self, plan: Plan, observe_batch: Callable[[int], object]) -> None:
        """Give a plan a lane that stays until the plan is retired."""
        lane = self._lane(plan)
        lane.kept = True
        lane.observe_batch = observe_batch

    def retire(self, plan: Plan) -> None:
        """Let a plan's lane go as soon as nothing waits in it."""
        lane = self._lanes.get(id(plan))
        if lane is not None:
            lane.kept = False
            self._drop_if_idle(lane)

    def add(self, ticket: _Waiting) -> None:
        """Queue a picture.

        Raises:
            Overloaded: the lane is full.
        """
        lane = self._lane(ticket.plan)
        queue, limit = (lane.copies, self._max_batch) if ticket.is_copy else (lane.waiting, self._limit)
        if len(queue) >= limit:
            raise Overloaded(_FULL)
        queue.append(ticket)

    def check_room(self, plan: Plan) -> None:
        """Raises Overloaded where a picture of that plan could not be queued now."""
        lane = self._lanes.get(id(plan))
        if lane is not None and len(lane.waiting) >= self._limit:
            raise Overloaded(_FULL)

    def discard(self, ticket: _Waiting) -> None:
        """Take a picture out that nobody waits for any more, if it still waits."""
        lane = self._lanes.get(id(ticket.plan))
        if lane is None:
            return
        queue = lane.copies if ticket.is_copy else lane.waiting
        if ticket in queue:
            queue.remove(ticket)
            self._drop_if_idle(lane)

    def drop_copies(self) -> None:
        """Forget every copy."""
        for lane in list(self._lanes.values()):
            lane.copies.clear()
            self._drop_if_idle(lane)

    def take(self) -> tuple[Lane[_Waiting], list[_Waiting]] | None:
        """The next batch, and its lane, busy from now to `finish`; None where nothing can be run."""
        for lane in self._lanes.values():
            if lane.waiting and not lane.busy:
                batch = [lane.waiting.popleft() for _ in range(min(len(lane.waiting), self._max_batch))]
                return self._taken(lane), batch
        return None

    def take_one(self, suits: Callable[[Lane[_Waiting]], bool]) -> tuple[Lane[_Waiting], list[_Waiting]] | None:
        """A picture that waits for a plan which is being run, and some wait behind it; None where there is none.

        Args:
            suits: whether the plan is one that bears another run at a time.
        """
        for lane in self._lanes.values():
            if lane.busy and len(lane.waiting) > _LEFT_WAITING and suits(lane):
                return lane, [lane.waiting.popleft()]
        return None

    def take_copy(self) -> tuple[Lane[_Waiting], list[_Waiting]] | None:
        """The next copy, as `take` does; None where anything else waits or is run."""
        if any(lane.waiting or lane.busy for lane in self._lanes.values()):
            return None
        for lane in self._lanes.values():
            if lane.copies:
                return self._taken(lane), [lane.copies.popleft()]
        return None

    def _taken(self, lane: Lane[_Waiting]) -> Lane[_Waiting]:
        lane.busy = True
        self._lanes.move_to_end(id(lane.plan))
        return lane

    def finish(self, lane: Lane[_Waiting], picture_s: float | None) -> None:
        """Free a lane after its batch, which took that long a picture; None where it failed."""
        lane.busy = False
        if picture_s is not None:
            lane.picture_s += _MEMORY * (picture_s - lane.picture_s)
        self._drop_if_idle(lane)

    def _lane(self, plan: Plan) -> Lane[_Waiting]:
        if id(plan) not in self._lanes:
            self._lanes[id(plan)] = Lane(plan, lambda size: None)
        return self._lanes[id(plan)]

    def _drop_if_idle(self, lane: Lane[_Waiting]) -> None:
        if not (lane.kept or lane.busy or lane.waiting or lane.copies):
            self._lanes.pop(id(lane.plan), None)
