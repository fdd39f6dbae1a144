"""uvicorn, with what it lacks: draining, and connections of our own."""

import asyncio
import gc
import signal
import socket
import time
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.app import count_by_outcome
from service.express.answering import Express
from service.express.connection import with_express
from service.helping import Help, helping_loop
from service.lifecycle import Lifecycle
from service.settings import Settings, available_cores
from service.state import Application


class Server(uvicorn.Server):
    """A server that says so in /readyz, and goes on answering for a while, before it closes its socket.

    Its event loop calls `help_out` where it would sleep; see `service.helping`.
    """

    def __init__(
        self, config: uvicorn.Config, lifecycle: Lifecycle, drain_delay_s: float, help_out: Help | None = None
    ) -> None:
        super().__init__(config)
        self.help_out = help_out
        self._lifecycle = lifecycle
        self._drain_delay_s = drain_delay_s
        self._exit_at_s: float | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        factory = partial(helping_loop, self.help_out) if self.help_out else asyncio.SelectorEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self.serve(sockets))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: drain, then stop. A second one, or SIGINT: stop now. A second SIGINT: drop what is in flight."""
        if self._exit_at_s is None and sig == signal.SIGTERM:
            self._lifecycle.draining = True
            self._exit_at_s = time.monotonic() + self._drain_delay_s
            return
        self._lifecycle.draining = True
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; asked ten times a second."""
        drained = self._exit_at_s is not None and time.monotonic() >= self._exit_at_s
        stopping = await super().on_tick(counter) or drained
        self._lifecycle.stopping = stopping
        return stopping


def run_server(app: FastAPI, settings: Settings) -> None:
    """Serve until a signal says otherwise. Exits with status 1 where the port cannot be had (uvicorn logs why)."""
    parts: Application = app.state.application
    protocol = with_express(
        Express(parts, count_by_outcome(parts.metrics)) if settings.tracing == "off" else None,  # spans are ASGI's
        head_timeout_s=settings.head_timeout_s,
        # A model may be loaded before the body is read, so this is a fuse behind the deadlines of the routes.
        body_timeout_s=settings.deadline_s + settings.upload_timeout_s + 1,
        max_header_bytes=settings.max_header_bytes,
        count_cut=staticmethod(parts.metrics.requests.count_cut),
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_s)),
    )
    gc.freeze()  # what start-up made stays; to look through it for garbage would hold all answers up for 60 ms
    # With a core for each thread of the engine and one more, that one has time to spare.
    help_out = parts.queue.help_out if available_cores() > settings.threads * settings.parallel_batches else None
    Server(config, parts.lifecycle, settings.drain_delay_s, help_out).run()
