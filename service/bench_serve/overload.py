"""An open loop: requests are sent when they are due, whether or not earlier ones were answered.

Latency counts from when a request was meant to be sent, so that a client that falls behind hides nothing. A request for
which no connection is free when it is due is never sent, and counted.

The client shares the processors with the service it measures, so it is kept cheap: plain sockets, looked at a thousand
times a second, instead of an event loop and its transports.
"""

import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from service.bench_serve.load import percentile
from service.bench_serve.requests import Requests

CONNECTIONS = 512
ANSWER_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
TICK_S = 0.001  # between two looks at what is due and what has come
MOST_BYTES = 65_536  # taken from a socket at a time
PROBE_RATE = 0.5  # of the capacity: what must be answered again once the overload is over

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


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
    with selectors.DefaultSelector() as selector:
        return _Client(port, requests.encoded(port), rate, max(1, round(rate * duration_s)), selector).run()


class _Client:
    def __init__(
        self, port: int, requests: Sequence[bytes], rate: float, due: int, selector: selectors.BaseSelector
    ) -> None:
        self._port = port
        self._requests = requests
        self._rate = rate
        self._due = due
        self._selector = selector
        self._free: list[_Connection] = []
        self._busy: deque[_Connection] = deque()  # the one that has waited longest first; some are free again
        self._unsent = self._refused = self._broken = 0
        self._latencies_ms: list[float] = []

    def run(self) -> Flood:
        for _ in range(min(CONNECTIONS, self._due)):
            self._open()
        if not self._free:  # nobody is there
            return Flood(self._due, 0, 0, 0, self._due, self._due / self._rate, 0.0)
        began_s, sent = time.perf_counter(), 0
        while sent < self._due or any(connection.busy for connection in self._busy):
            now_s = time.perf_counter()
            ready = min(self._due, int((now_s - began_s) * self._rate) + 1)
            self._send(range(sent, ready), began_s)
            sent = ready
            self._receive()
            self._give_up(now_s)
            time.sleep(TICK_S)
        elapsed_s = time.perf_counter() - began_s
        for connection in self._free:
            connection.socket.close()
        p99_ms = percentile(self._latencies_ms, 0.99)
        counts = (self._unsent, len(self._latencies_ms), self._refused, self._broken)
        return Flood(self._due, *counts, elapsed_s, p99_ms)

    def _send(self, numbers: range, began_s: float) -> None:
        for number in numbers:
            if not self._free:
                self._unsent += numbers.stop - number
                return
            connection = self._free.pop()
            self._busy.append(connection)
            if not connection.send(self._requests[number % len(self._requests)], began_s + number / self._rate):
                self._lose(connection)

    def _receive(self) -> None:
        for key, _ in self._selector.select(0):
            connection: _Connection = key.data
            try:
                status = connection.receive()
            except OSError:
                self._lose(connection)
                continue
            if status is not None:
                self._answered(connection, status)

    def _answered(self, connection: "_Connection", status: int) -> None:
        if 200 <= status < 300:
            self._latencies_ms.append(1000 * (time.perf_counter() - connection.due_s))
        else:
            self._refused += 1
        connection.busy = False
        self._free.append(connection)

    def _lose(self, connection: "_Connection") -> None:
        """A connection that ended: with a request on it, that is broken. Another takes its place."""
        if connection.busy:
            self._broken += 1
        else:
            self._free.remove(connection)
        connection.busy = False
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._open()

    def _open(self) -> None:
        with suppress(OSError):  # fewer connections: what they would have sent is unsent
            connection = _Connection(socket.create_connection(("127.0.0.1", self._port), CONNECT_TIMEOUT_S))
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._free.append(connection)

    def _give_up(self, now_s: float) -> None:
        """Close what has waited too long."""
        while self._busy and (not self._busy[0].busy or self._busy[0].due_s + ANSWER_TIMEOUT_S < now_s):
            connection = self._busy.popleft()
            if connection.busy and connection.due_s + ANSWER_TIMEOUT_S < now_s:
                self._lose(connection)


class _Connection:
    """One request after the other; an answer says its length."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.busy = False
        self.due_s = 0.0
        self._received = b""

    def send(self, request: bytes, due_s: float) -> bool:
        """Whether the request has gone out, whole: one picture fits the buffers of an idle connection."""
        self.busy, self.due_s = True, due_s
        try:
            return self.socket.send(request) == len(request)
        except OSError:
            return False

    def receive(self) -> int | None:
        """The answer's status, once all of it has come.

        Raises:
            OSError: the connection ended.
        """
        data = self.socket.recv(MOST_BYTES)
        if not data:
            raise ConnectionResetError
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end + 2) if end >= 0 else None
        if length is None or len(self._received) < end + 4 + int(length[1]):
            return None
        status, self._received = int(self._received.split(b" ", 2)[1]), b""
        return status
