"""uvicorn's connection, with what it lacks: problem+json for what h11 refuses, and deadlines of slow clients."""

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.correlation import request_id_of
from service.problems import render_problem


class _Connection(h11.Connection):
    """h11's, which holds a head to its limit only while it is incomplete, and lets chunks win over a length."""

    def __init__(self, max_header_bytes: int) -> None:
        super().__init__(h11.SERVER, max_header_bytes)
        self._max_header_bytes = max_header_bytes
        self.asked_for_head = False  # by the request that is being read or answered: its answer has no body

    def next_event(self) -> Any:
        event = super().next_event()
        if type(event) is h11.Request:
            self.asked_for_head = event.method == b"HEAD"
            self._check(event)
        return event

    def start_next_cycle(self) -> None:
        self.asked_for_head = False
        super().start_next_cycle()

    def _check(self, request: h11.Request) -> None:
        names = set()
        size_bytes = len(request.target)
        for name, value in request.headers:
            names.add(name)
            size_bytes += len(name) + len(value)
        if size_bytes > self._max_header_bytes:
            raise h11.RemoteProtocolError("head too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if b"content-length" in names and b"transfer-encoding" in names:
            raise h11.RemoteProtocolError("both a length and chunks")


class Protocol(H11Protocol):
    """HTTP/1.1 where a client that is silent, drips its request, or does not read its answers, is cut off.

    uvicorn has a deadline between requests only. A route that reads a body answers a slow one with 408; the connection
    of one that no route reads ends here.

    Attributes:
        head_timeout_s: from a connection's start, or a request's first byte, to the end of the request's head.
        body_timeout_s: from there to the end of its body; also, from when an answer waits for its client to read what
            was sent before it, to when that is read.
        max_header_bytes: of a request's target and headers.
        count_cut: told where a client was cut off, by one of `service.metrics.requests.CUTS`.
    """

    conn: _Connection
    head_timeout_s = 10.0
    body_timeout_s = 30.0
    max_header_bytes = 16_384
    count_cut: Callable[[str], object] = staticmethod(lambda at: None)
    _timer: asyncio.TimerHandle | None = None
    _timed: object = None  # the client's state that the timer is for
    _unread_timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Connection(self.max_header_bytes)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._disarm_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self.body_timeout_s, self._give_up)

    def resume_writing(self) -> None:
        self._disarm_unread()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the one shape of errors, unless an answer is on its way already; then close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            error = sys.exception()  # uvicorn calls this where it handles h11's
            request_id = request_id_of("")
            status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
            problem = _refusal(status, request_id)
            headers = [*problem.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
            reason = HTTPStatus(problem.status_code).phrase.encode()
            events: list[Any] = [h11.Response(status_code=problem.status_code, headers=headers, reason=reason)]
            events += [h11.Data(data=b"" if self.conn.asked_for_head else bytes(problem.body)), h11.EndOfMessage()]
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

    def _disarm_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _cut_off(self) -> None:
        timed = self._timed
        self._disarm()
        if self.conn.their_state is timed:  # or the rest was there already, and came to light since
            self.count_cut("head" if timed is h11.IDLE else "body")
            self.transport.close()

    def _give_up(self) -> None:
        self.count_cut("answer")
        self.transport.abort()


def _refusal(status: int, request_id: str) -> Response:
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return render_problem(status, "headers_too_large", "The request's line and headers are too long.", request_id)
    return render_problem(status, "bad_request", "The request is not valid HTTP.", request_id)
