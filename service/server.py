"""uvicorn, with three things it lacks: problem+json for what h11 refuses, an arrival deadline, and draining."""

import asyncio
import signal
import time
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.lifecycle import Lifecycle
from service.problems import render_problem
from service.settings import Settings


class Protocol(H11Protocol):
    """HTTP/1.1 where a client that is silent, or drips its request, is cut off.

    uvicorn has a deadline between requests only. A route that reads a body answers a slow one with 408; the connection
    of one that no route reads ends here.

    Attributes:
        head_timeout_s: from a connection's start, or a request's first byte, to the end of the request's head.
        body_timeout_s: from there to the end of its body.
    """

    head_timeout_s = 10.0
    body_timeout_s = 30.0
    _timer: asyncio.TimerHandle | None = None
    _timed: object = None  # the client's state that the timer is for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the one shape of errors."""
        problem = render_problem(400, "bad_request", "The request is not valid HTTP.", "")
        headers = [*problem.raw_headers, (b"connection", b"close")]
        events: list[Any] = [h11.Response(status_code=400, headers=headers, reason=b"Bad Request")]
        events += [h11.Data(data=bytes(problem.body)), h11.EndOfMessage()]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """Give the client's head, or body, its time; begin anew where one follows the other."""
        state = self.conn.their_state
        if state is self._timed:
            return
        self._disarm()
        timeout_s = {h11.IDLE: self.head_timeout_s, h11.SEND_BODY: self.body_timeout_s}.get(state)
        if timeout_s is not None:
            self._timed = state
            self._timer = self.loop.call_later(timeout_s, self._cut_off)

    def _disarm(self) -> None:
        self._timed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut_off(self) -> None:
        timed = self._timed
        self._disarm()
        if self.conn.their_state is timed:  # or the rest was there already, and came to light since
            self.transport.close()


class Server(uvicorn.Server):
    """A server that says so in /readyz, and goes on answering for a while, before it closes its socket."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_delay_s: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_delay_s = drain_delay_s
        self._exit_at_s: float | None = None

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

    class LimitedProtocol(Protocol):
        head_timeout_s = settings.head_timeout_s
        # A model may be loaded before the body is read, so this is a fuse behind the deadlines of the routes.
        body_timeout_s = settings.deadline_s + settings.upload_timeout_s + 1

    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=LimitedProtocol,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_s)),
    )
    Server(config, app.state.application.lifecycle, settings.drain_delay_s).run()
