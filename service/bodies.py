"""Every request's body, bounded in bytes and in time, whichever route reads it. A route may be stricter."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge, UploadTooSlow


class BodyLimits:
    """ASGI middleware: who reads a body that breaks a limit gets a RequestError instead, which is then the answer.

    A route that reads no body is not concerned; its client's connection is the server's business.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = limited(receive, Headers(scope=scope), self._max_bytes, self._timeout_s)
        await self._app(scope, receive, send)


def limited(receive: Receive, headers: Headers, max_bytes: int, timeout_s: float) -> Receive:
    """A `receive` that bounds the body.

    Its first call starts the clock. It raises:
        BodyTooLarge: more bytes than the limit, as declared (before anything is read) or as counted.
        UploadTooSlow: not all of it came in time.
    """
    return _Body(receive, headers, max_bytes, timeout_s).receive


class _Body:
    def __init__(self, receive: Receive, headers: Headers, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._declared = headers.get("content-length", "")
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._until_s: float | None = None  # in the loop's time
        self._received_bytes = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:  # what comes now is the client's leaving, which may take as long as the answer
            return await self._receive()
        if self._until_s is None:
            self._until_s = asyncio.get_running_loop().time() + self._timeout_s
            if self._declared.isdecimal():
                self._check(int(self._declared[:20]))
        try:
            async with asyncio.timeout_at(self._until_s):
                message = await self._receive()
        except TimeoutError:
            raise UploadTooSlow(f"The body took longer than {self._timeout_s:g} s.") from None
        self._received_bytes += len(message.get("body", b""))
        self._check(self._received_bytes)
        self._complete = not message.get("more_body", False)
        return message

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise BodyTooLarge(f"The body is too large, must be at most {self._max_bytes} bytes.")
