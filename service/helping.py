"""An event loop that lends a hand: where it would sleep, it does some of another thread's work.

A busy engine keeps one core, and the loop, which reads, decodes and answers, a part of another. What is left of that
one is too little for a second engine's thread, which would come before the loop as often as after it. The loop itself
knows when it has nothing to do.
"""

import asyncio
import selectors
from collections.abc import Callable

Help = Callable[[], bool]


class HelpingSelector(selectors.DefaultSelector):
    """Calls `help_out` before it would wait; where that has done something, it does not wait but looks again."""

    def __init__(self, help_out: Help) -> None:
        super().__init__()
        self._help_out = help_out

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:  # the loop has callbacks to run
            return super().select(timeout)
        ready = super().select(0)
        if ready:
            return ready
        return super().select(0 if self._help_out() else timeout)


def helping_loop(help_out: Help) -> asyncio.AbstractEventLoop:
    """A new event loop. `help_out` runs in its thread, so it must be short; it says whether it did anything."""
    return asyncio.SelectorEventLoop(HelpingSelector(help_out))
