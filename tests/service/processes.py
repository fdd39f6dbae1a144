"""A service in a process of its own, for tests that need a real socket."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Service:
    process: "subprocess.Popen[str]"
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, data: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return receive_all(connection)

    def get(self, path: str) -> int:
        return int(self.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).split()[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def receive_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    store: Path, *flags: str, wrapped: Callable[[list[str]], list[str]] = lambda command: command
) -> Iterator[Service]:
    """A service with these flags; `wrapped` may put a command before the one that starts it."""
    port = free_port()
    command = [sys.executable, "-m", "service", "--store", str(store), "--port", str(port), "--threads", "1", *flags]
    process = subprocess.Popen(wrapped(command), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if "Uvicorn running" in line:
                break
        # What it logs from now on must go somewhere: a full pipe would stop it.
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        try:
            yield Service(process, port)
        finally:
            process.kill()
            process.wait()
            drain.join()
