"""An open loop: requests are sent when they are due, whether or not earlier ones were answered.

Latency counts from when a request was meant to be sent, so that a client that falls behind hides nothing. A request for
which no connection is free when it is due is never sent, and counted.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from service.bench_serve.load import percentile
from service.bench_serve.requests import Requests

CONNECTIONS = 512
ANSWER_TIMEOUT_S = 5.0
TICK_S = 0.001  # between two looks at what is due
PROBE_RATE = 0.5  # of the capacity: what must be answered again once the overload is over


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of the requests that were due.

    Attributes:
        due: how many were meant to be sent.
        unsent: those that no connection was free for.
        accepted, refused, broken: 2xx; other answers; no answer.
        p99_ms: of the accepted, from when they were due.
    """

    due: int
    unsent: int
    accepted: int
    refused: int
    broken: int
    duration_s: float
    p99_ms: float

    @property
    def goodput(self) -> float:
        """Accepted requests a second."""
        return self.accepted / self.duration_s


def flood(port: int, requests: Requests, rate: float, duration_s: float) -> Flood:
    """Send that many requests a second for that long."""
    return asyncio.run(_Client(port, requests.encoded(port), rate, max(1, round(rate * duration_s))).run())


class _Client:
    def __init__(self, port: int, requests: Sequence[bytes], rate: float, due: int) -> None:
        self._port = port
        self._requests = requests
        self._rate = rate
        self._due = due
        self._free: list[_Connection] = []
        self._busy: deque[_Connection] = deque()  # the one that has waited longest first; some are free again
        self._opening: set[asyncio.Task[None]] = set()
        self.refused = self.broken = 0
        self.latencies_ms: list[float] = []

    async def run(self) -> Flood:
        loop = asyncio.get_running_loop()
        for _ in range(min(CONNECTIONS, self._due)):
            await self._open()
        if not self._free:  # nobody is there
            return Flood(self._due, 0, 0, 0, self._due, self._due / self._rate, 0.0)
        began_s, sent, unsent = loop.time(), 0, 0
        while sent < self._due:
            ready = min(self._due, int((loop.time() - began_s) * self._rate) + 1)
            for number in range(sent, ready):
                if self._free:
                    connection = self._free.pop()
                    connection.send(self._requests[number % len(self._requests)], began_s + number / self._rate)
                    self._busy.append(connection)
                else:
                    unsent += 1
            sent = ready
            self._give_up(loop.time())
            await asyncio.sleep(TICK_S)
        while any(connection.busy for connection in self._busy):
            self._give_up(loop.time())
            await asyncio.sleep(TICK_S)
        elapsed_s = loop.time() - began_s
        self._close()
        p99_ms = percentile(self.latencies_ms, 0.99)
        return Flood(self._due, unsent, len(self.latencies_ms), self.refused, self.broken, elapsed_s, p99_ms)

    async def _open(self) -> None:
        with suppress(OSError):  # fewer connections: what they would have sent is unsent
            await asyncio.get_running_loop().create_connection(lambda: _Connection(self), "127.0.0.1", self._port)

    def opened(self, connection: "_Connection") -> None:
        self._free.append(connection)

    def answered(self, connection: "_Connection", status: int, latency_s: float) -> None:
        if 200 <= status < 300:
            self.latencies_ms.append(1000 * latency_s)
        else:
            self.refused += 1
        self._free.append(connection)

    def lost(self, connection: "_Connection") -> None:
        """A connection that ended: with a request on it, that is broken. Another takes its place."""
        if connection.busy:
            self.broken += 1
        elif connection in self._free:
            self._free.remove(connection)
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _give_up(self, now_s: float) -> None:
        """Close what has waited too long."""
        while self._busy and (not self._busy[0].busy or self._busy[0].due_s + ANSWER_TIMEOUT_S < now_s):
            connection = self._busy.popleft()
            if connection.busy and connection.due_s + ANSWER_TIMEOUT_S < now_s:
                connection.abort()

    def _close(self) -> None:
        for task in self._opening:
            task.cancel()
        for connection in self._free:
            connection.close()


class _Connection(asyncio.Protocol):
    """One request after the other; an answer says its length."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._received = b""
        self._ending = False
        self.busy = False
        self.due_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client.opened(self)

    def send(self, request: bytes, due_s: float) -> None:
        self.busy, self.due_s = True, due_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) < end + 4 + length:
            return
        status, self._received, self.busy = int(head.split(b" ", 2)[1]), b"", False
        latency_s = asyncio.get_running_loop().time() - self.due_s
        self._client.answered(self, status, latency_s)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ending:
            self._client.lost(self)
        self.busy = False

    def abort(self) -> None:
        """The answer is too late: the connection ends, and `lost` counts it."""
        self._transport.abort()
        self._client.lost(self)
        self._ending, self.busy = True, False

    def close(self) -> None:
        self._ending = True
        self._transport.close()
