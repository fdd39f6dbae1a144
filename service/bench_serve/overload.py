"""An open loop: requests are sent when they are due, whether or not earlier ones were answered.

Latency counts from when a request was meant to be sent, so that a client that falls behind hides nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.bench_serve.load import exchange, percentile
from service.bench_serve.requests import Requests

CONNECTIONS = 256
ANSWER_TIMEOUT_S = 5.0
PROBE_RATE = 0.5  # of the capacity: what must be answered again once the overload is over


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of the requests that were due.

    Attributes:
        due: how many were meant to be sent.
        unsent: those that no connection was free for within the time that an answer may take.
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
        self._next = 0
        self._statuses: list[int] = []
        self._latencies_ms: list[float] = []
        self._unsent = self._broken = 0

    async def run(self) -> Flood:
        self._began_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._connection() for _ in range(min(CONNECTIONS, self._due))))
        accepted = len(self._latencies_ms)
        elapsed_s = asyncio.get_running_loop().time() - self._began_s
        refused = len(self._statuses) - accepted
        p99_ms = percentile(self._latencies_ms, 0.99)
        return Flood(self._due, self._unsent, accepted, refused, self._broken, elapsed_s, p99_ms)

    async def _connection(self) -> None:
        """Take requests one after the other, each not before it is due; connect anew where a connection broke."""
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        loop = asyncio.get_running_loop()
        while self._next < self._due:
            number, self._next = self._next, self._next + 1
            due_s = self._began_s + number / self._rate
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if loop.time() > due_s + ANSWER_TIMEOUT_S:
                self._unsent += 1
                continue
            try:
                async with asyncio.timeout_at(due_s + ANSWER_TIMEOUT_S):
                    streams = streams or await asyncio.open_connection("127.0.0.1", self._port)
                    status = await exchange(*streams, self._requests[number % len(self._requests)])
            except (OSError, EOFError):  # a deadline that passes is an OSError too
                self._broken += 1
                if streams is not None:
                    streams[1].close()
                streams = None
                continue
            self._statuses.append(status)
            if 200 <= status < 300:
                self._latencies_ms.append(1000 * (loop.time() - due_s))
        if streams is not None:
            streams[1].close()
