"""Refusals at a pace: a no costs little, ten thousand a second cost the service its yes."""

import asyncio
from collections import deque
from collections.abc import Callable

TICK_S = 0.02
USUAL_S = 1.0  # that a refusal waits where many do
LONGEST_S = 2.0


class Pace:
    """Runs actions in the order in which they were given: `rate` of them a second at once, later ones as their turn
    comes. Used from one event loop.

    Where more wait than the rate takes in `USUAL_S`, they go evenly, as fast as empties the row in that time: together
    they would hold up everything else. None waits longer than `LONGEST_S`. A connection that is refused over and over
    asks again only when it has its answer, so what refusals cost is bounded by the rate, or by the number of
    connections, not by how fast they ask.
    """

    def __init__(self, rate: float) -> None:
        """Args: `rate`: of actions a second; 0 lets all of them through at once."""
        self.rate = rate
        self._allowance = rate * TICK_S
        self._filled_s = 0.0
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()  # (when at the latest, what)

    @property
    def waiting(self) -> int:
        """How many actions wait for their turn."""
        return len(self._waiting)

    def follow(self, action: Callable[[], object]) -> None:
        """Run `action` later: in the loop's next round, or in its turn."""
        loop = asyncio.get_running_loop()
        if self.rate <= 0:
            loop.call_soon(action)
            return
        self._fill(loop.time())
        if not self._waiting and self._allowance >= 1:
            self._allowance -= 1
            loop.call_soon(action)
            return
        if not self._waiting:
            loop.call_later(TICK_S, self._run, loop)
        self._waiting.append((loop.time() + LONGEST_S, action))

    async def turn(self) -> None:
        """Wait as `follow` makes an action wait."""
        come = asyncio.Event()
        self.follow(come.set)
        await come.wait()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._fill(loop.time())
        self._allowance = max(self._allowance, len(self._waiting) * TICK_S / USUAL_S)
        while self._waiting and (self._allowance >= 1 or self._waiting[0][0] <= loop.time()):
            self._allowance = max(0.0, self._allowance - 1)
            self._waiting.popleft()[1]()
        if self._waiting:
            loop.call_later(TICK_S, self._run, loop)

    def _fill(self, now_s: float) -> None:
        """What may go by now; what was not used is saved for a tenth of a second at most."""
        grown = self._allowance + self.rate * (now_s - self._filled_s)
        self._allowance, self._filled_s = min(grown, max(1.0, self.rate / 10)), now_s
