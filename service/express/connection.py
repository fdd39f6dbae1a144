"""A connection with an express lane: plain requests are answered from what has come, the rest goes to uvicorn."""

import asyncio
import time
from http import HTTPStatus
from typing import Any

import h11

from service.connection import Protocol
from service.express.answering import Answering, Express, Headers
from service.express.heads import START, read_head

HOLD_S = 0.1  # how long a body may come after its head; who is slower takes the long way, whose deadlines are his
MAX_HELD_BYTES = 65_536  # that came while a request is answered
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class ExpressProtocol(Protocol):
    """HTTP/1.1 with an express lane.

    A request is in one place only: held here until its body is complete, being answered from here, or handed to h11.
    What comes behind one that is being answered waits until it was.

    Attributes:
        express: answers plain requests; None where there is no lane.
    """

    express: Express | None = None
    _answering: Answering | None = None
    _held: bytes = b""
    _held_since_s: float = 0.0
    _hold_timer: asyncio.TimerHandle | None = None
    _idle_since_s: float = 0.0
    _closes: bool = False  # after the answer that is being made

    def data_received(self, data: bytes) -> None:
        if self._answering is not None:
            self._held += data
            if len(self._held) > MAX_HELD_BYTES:
                self.flow.pause_reading()
            return
        started_s = time.perf_counter()
        if self._held:
            data, started_s = self._held + data, self._held_since_s
            self._drop_held()
        if self.express is None or not data.startswith(START) or not self._at_rest():
            super().data_received(data)
        else:
            self._take(self.express, data, started_s)

    def _take(self, express: Express, data: bytes, started_s: float) -> None:
        head = read_head(data)
        missing = head.size_bytes + head.body_bytes - len(data) if head is not None else -1
        if head is None or missing < 0:  # not plain, or another request follows at once
            super().data_received(data)
        elif missing:
            self._hold(data, started_s)
        else:
            self._disarm()
            self._answering = express.begin(head, data[head.size_bytes :], started_s, self._finish)
            if self._answering is None:
                super().data_received(data)

    def _at_rest(self) -> bool:
        """Whether h11 knows of no request, nor of a part of one, and the client reads its answers."""
        idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return idle and not self.flow.write_paused and not self.transport.is_closing()

    def _hold(self, data: bytes, since_s: float) -> None:
        self._unset_keepalive_if_required()
        self._disarm()
        self._held, self._held_since_s = data, since_s
        self._hold_timer = self.loop.call_later(max(0.0, since_s + HOLD_S - time.perf_counter()), self._let_go)

    def _let_go(self) -> None:
        """Hand what is held to h11."""
        data = self._held
        self._drop_held()
        if data:
            super().data_received(data)

    def _drop_held(self) -> None:
        self._held = b""
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None

    def _finish(self, status: int, headers: Headers, content: bytes) -> None:
        self._answering = None
        if self.transport.is_closing():
            return
        close = [(b"connection", b"close")] if self._closes else []
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers, *close)]
        self.transport.write(b"".join((_STATUS_LINES[status], *lines, b"\r\n", content)))
        self.server_state.total_requests += 1
        if self._closes:
            self.transport.close()
            return
        self._rest()
        data = self._held
        if data:
            self._drop_held()
            self.flow.resume_reading()
            self.data_received(data)

    def _rest(self) -> None:
        """Close the connection if it stays idle. The timer is set anew when it goes off, not for every request."""
        self._idle_since_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self._answering is not None:
            return  # it rests after that
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self._look_whether_idle)
        else:
            self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_held()
        if self._answering is not None:
            self._answering.abandon()
            self._answering = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Finish what is being answered, or was begun, then close."""
        if self._answering is not None:
            self._closes = True
            return
        self._let_go()
        super().shutdown()


def with_express(express: Express | None, **limits: Any) -> type[ExpressProtocol]:
    """The protocol with these attributes, as uvicorn wants it: a class."""
    return type("LimitedProtocol", (ExpressProtocol,), {"express": express, **limits})
