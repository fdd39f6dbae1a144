"""The real thing: a process, a socket, signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.drawings import png
from tests.service.processes import Service, receive_all, serving


@pytest.fixture
def service(published: Path) -> Iterator[Service]:
    """One to stop."""
    with serving(published, "--model", "colour", "--drain-s", "0.3", "--grace-s", "2") as service:
        yield service


@pytest.fixture(scope="module")
def steady_service(published: Path) -> Iterator[Service]:
    """One that the tests share."""
    with serving(published, "--model", "colour") as service:
        yield service


def predict(service: Service) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{service.port}/predict", png(), {"Content-Type": "image/png"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: dict[str, object] = json.loads(answer.read())
        return body


def test_a_service_answers_at_rest_in_little_memory_and_stops_when_told(service: Service) -> None:
    assert predict(service)["model"] == "colour"
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    resident_kib = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    assert resident_kib < 120 * 1024
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "torch" not in maps
    started_s = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started_s < 10


def test_readiness_goes_first_and_a_request_in_flight_is_answered(service: Service) -> None:
    picture = png()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
    with service.connect() as connection:
        connection.sendall(head.encode() + picture[:10])
        assert service.get("/readyz") == 200
        service.process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + 5
        while service.get("/readyz") != 503:
            assert time.monotonic() < deadline_s
        time.sleep(0.6)
        connection.sendall(picture[10:])
        assert receive_all(connection).startswith(b"HTTP/1.1 200")
    assert service.process.wait(10) == 0


def test_a_stalled_upload_does_not_hold_the_exit_up(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
        )
        assert service.get("/healthz") == 200
        started_s = time.monotonic()
        service.stop()
        assert time.monotonic() - started_s < 15


def test_what_is_not_http_gets_a_problem_and_the_next_request_is_served(steady_service: Service) -> None:
    two_lengths = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    negative = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"
    for data in (b"nonsense\r\n\r\n", two_lengths, negative):
        head, _, body = steady_service.exchange(data).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"application/problem+json" in head
        assert json.loads(body)["code"] == "bad_request"
    assert predict(steady_service)["version"] == 2


def test_endless_headers_are_cut_off(steady_service: Service) -> None:
    def send() -> None:
        with steady_service.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for number in range(100_000):
                connection.sendall(b"X-%d: " % number + b"x" * 1000 + b"\r\n")

    with pytest.raises(OSError, match="reset|pipe|abort"):
        send()
    assert predict(steady_service)["version"] == 2


def test_a_body_that_lies_about_its_length_is_refused_or_cut(steady_service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nConnection: close\r\n"
    huge = steady_service.exchange(head + b"Content-Length: 99999999999\r\n\r\n")
    assert huge.startswith(b"HTTP/1.1 413")
    both = steady_service.exchange(head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert both.startswith(b"HTTP/1.1 400")
    tiny_chunks = steady_service.exchange(
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    )
    assert tiny_chunks.startswith(b"HTTP/1.1 415")
    assert predict(steady_service)["version"] == 2


def test_a_taken_port_is_one_line_and_status_2(published: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--store", str(published), "--port", str(port))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"csrve: 127.0.0.1:{port}: Address already in use, cannot listen there\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--store", "/nowhere/at/all"],
            'csrve: store "/nowhere/at/all": No such file or directory, must be a folder\n',
        ),
        (["--port", "x"], 'csrve: port "x", must be a whole number\n'),
        ([], "csrve: store missing: give --store DIR or CSRVE_STORE\n"),
        (["--store", ".", "--host", "256.0.0.1"], None),
    ],
)
def test_a_bad_start_is_one_line_and_status_2(flags: list[str], message: str | None) -> None:
    result = run(*flags)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert message is None or result.stderr == message


def run(*flags: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CSRVE_")}
    command = [sys.executable, "-m", "service", *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
