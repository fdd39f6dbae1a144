"""One record for each request: its id, its clock, and what the log will say of it."""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import is_logged, log
from service.schemas import Timing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

Listener = Callable[["RequestRecord"], None]
CrashHandler = Callable[[Request, Exception], Response]


@dataclass(slots=True)
class RequestRecord:
    """What is known of a request while it is answered.

    Attributes:
        trace_id: of the request's span where it has one, else of the client's W3C trace, "" for none; so is span_id.
        protocol: how a prediction was asked for, one of `service.metrics.requests.PROTOCOLS`.
        status: of the answer, 0 where the client went away before it.
        code: the problem's, "" for none.
        server_timing: the header of that name, "" for none.
        entry: what the log says besides.
    """

    request_id: str
    method: str
    path: str
    trace_id: str = ""
    span_id: str = ""
    started_s: float = field(default_factory=time.perf_counter)
    protocol: str = "image"
    status: int = 0
    code: str = ""
    server_timing: str = ""
    entry: dict[str, object] = field(default_factory=dict)

    def served(self, model: str, version: int, bytes_in: int, batch_size: int, timing: Timing) -> None:
        """Note who answered, and where the time went; the answer's Server-Timing says so too."""
        stages = timing.__dict__  # what model_dump() would copy
        self.server_timing = ", ".join(f"{stage};dur={duration_ms:g}" for stage, duration_ms in stages.items())
        self.entry.update(model=model, version=version, bytes_in=bytes_in, batch_size=batch_size)
        self.entry.update({f"{stage}_ms": duration_ms for stage, duration_ms in stages.items()})


class RequestSpans(Protocol):
    """The spans that requests have; see `service.tracing`."""

    def identify(self) -> tuple[str, str] | None:
        """(trace id, span id) of the request that is being answered; None where it has no span."""

    def describe(self, record: RequestRecord) -> None:
        """Put on the request's span what is known of it."""


def record_of(request: Request) -> RequestRecord:
    """The record of a request that went through the middleware."""
    record: RequestRecord = request.state.record
    return record


class RequestRecords:
    """ASGI middleware around everything: gives each request its record and its X-Request-ID, and writes its log line.

    An exception that nothing below rendered becomes the answer that `crash_handler` makes of it.
    """

    def __init__(
        self, app: ASGIApp, listener: Listener, crash_handler: CrashHandler, spans: RequestSpans | None = None
    ) -> None:
        self._app = app
        self._listener = listener
        self._crash_handler = crash_handler
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace_id, span_id = (self._spans and self._spans.identify()) or _trace(headers)
        record = RequestRecord(
            request_id_of(headers.get("x-request-id", "")), scope["method"], scope["path"], trace_id, span_id
        )
        scope.setdefault("state", {})["record"] = record
        send = _recording(record, send, self._spans)
        try:
            await self._guarded(record, scope, receive, send)
        finally:
            self._listener(record)
            log_request(record)

    async def _guarded(self, record: RequestRecord, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            record.code = "abandoned"
        except Exception as error:
            response = self._crash_handler(Request(scope), error)
            if not record.status:
                await response(scope, receive, send)


def _recording(record: RequestRecord, send: Send, spans: RequestSpans | None) -> Callable[[Message], Awaitable[None]]:
    async def recording(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = record.request_id
            if record.server_timing:
                headers["Server-Timing"] = record.server_timing
            if spans is not None:
                spans.describe(record)
        await send(message)

    return recording


def request_id_of(given: str) -> str:
    """The client's own, where it is short and plain; a new one otherwise."""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _trace(headers: Headers) -> tuple[str, str]:
    """(trace id, span id) of the client's `traceparent` (W3C Trace Context), or empty."""
    found = _TRACE_PARENT.fullmatch(headers.get("traceparent", "")[:64])
    return (found[1], found[2]) if found else ("", "")


def log_request(record: RequestRecord) -> None:
    """Write a request's line, once it has ended."""
    if (record.path in QUIET and record.status < 500) or not is_logged(logging.INFO):
        return
    entry = {
        "request_id": record.request_id,
        "method": record.method[:16],
        "path": record.path[:128],
        "status": record.status,
        "code": record.code,
        "duration_ms": round(1000 * (time.perf_counter() - record.started_s), 3),
    }
    if record.trace_id:
        entry |= {"trace_id": record.trace_id, "span_id": record.span_id}
    log("request", entry | record.entry)
