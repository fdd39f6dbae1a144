"""The real thing: a process, a socket, signals."""

import gc
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

from service.app import build_app
from service.server import Server, run_server
from service.settings import Settings
from tests.service.drawings import png
from tests.service.processes import Service, receive_all, serving


@pytest.fixture
def service(published: Path) -> Iterator[Service]:
    """One to stop."""
    with serving(published, "--default-model", "colour", "--drain-delay-s", "0.3", "--grace-s", "2") as service:
        yield service


@pytest.fixture(scope="module")
def steady_service(published: Path) -> Iterator[Service]:
    """One that the tests share."""
    with serving(published, "--default-model", "colour") as service:
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


def test_what_start_up_made_is_not_searched_for_garbage(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(store=str(published), threads=1)
    frozen: list[int] = []
    monkeypatch.setattr(Server, "run", lambda server: frozen.append(gc.get_freeze_count()))
    try:
        run_server(build_app(settings), settings)
    finally:
        gc.unfreeze()
    assert frozen[0] > 10_000


@pytest.mark.parametrize(("cores", "threads", "helps"), [(2, 1, True), (2, 2, False), (1, 1, False)])
def test_the_event_loop_helps_where_it_has_a_core_of_its_own(
    published: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, helps: bool
) -> None:
    settings = Settings(store=str(published), threads=threads)
    app = build_app(settings)
    begun: list[Server] = []
    monkeypatch.setattr("service.server.available_cores", lambda: cores)
    monkeypatch.setattr("service.server.gc.freeze", lambda: None)
    monkeypatch.setattr(Server, "run", lambda server: begun.append(server))
    run_server(app, settings)
    assert begun[0].help_out == (app.state.application.queue.help_out if helps else None)


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


@pytest.fixture(scope="module")
def impatient_service(published: Path) -> Iterator[Service]:
    """One with short deadlines, and little room for headers."""
    flags = ("--head-timeout-s", "1", "--upload-timeout-s", "0.5", "--deadline-s", "0.5")
    with serving(published, "--default-model", "colour", "--max-header-bytes", "1000", *flags) as service:
        yield service


def drip(connection: socket.socket) -> bytes:
    """What the server says to a client that sends a byte now and then, until it closes."""
    received = b""
    connection.settimeout(0.05)
    for _ in range(400):
        try:
            connection.sendall(b"x")
            part = connection.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return received
        if not part:
            return received
        received += part
    raise AssertionError("the server never closed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /models HTTP/1.1\r\nHost: ", b""),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n\r\n",
            b"HTTP/1.1 408",
        ),
        (b"GET /models HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200"),
        (b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 404"),
    ],
)
def test_a_client_that_drips_is_cut_off_wherever_it_drips(
    impatient_service: Service, sent: bytes, answer: bytes
) -> None:
    with impatient_service.connect() as connection:
        connection.sendall(sent)
        assert drip(connection).startswith(answer)
    assert predict(impatient_service)["version"] == 2


@pytest.mark.slow
def test_a_connection_that_is_kept_serves_slow_requests_one_after_the_other(impatient_service: Service) -> None:
    with impatient_service.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            time.sleep(0.2)
            connection.sendall(b"Content-Length: 1\r\n\r\n")
            time.sleep(0.2)
            connection.sendall(b"x")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            time.sleep(0.2)


@pytest.mark.slow
def test_headers_over_the_limit_are_refused(impatient_service: Service) -> None:
    assert impatient_service.exchange(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + b"x" * 500 + b"\r\n\r\n"
    ).startswith(b"HTTP/1.1 200")
    assert impatient_service.exchange(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 2000).startswith(
        b"HTTP/1.1 431 Request Header Fields Too Large"
    )


@pytest.mark.slow
def test_clients_that_vanish_leave_no_slot_thread_or_descriptor(impatient_service: Service) -> None:
    """V9: one in the head, one in the body, one before the answer, and so on."""
    picture = png()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
    request = head.encode() + picture
    folder = Path(f"/proc/{impatient_service.process.pid}")
    predict(impatient_service)
    before = len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))
    for number in range(10_000):
        with impatient_service.connect() as connection:
            connection.sendall(request[: (10, len(head) + 10, len(request))[number % 3]])
    deadline_s = time.monotonic() + 20
    while True:
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{impatient_service.port}/metrics", timeout=20).read()
        after = len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))
        if b"csrve_requests_in_flight 0.0" in metrics and after[0] <= before[0] + 1 and after[1] <= before[1] + 1:
            break
        assert time.monotonic() < deadline_s, (before, after)
    assert predict(impatient_service)["version"] == 2


@pytest.mark.slow
def test_a_second_sigterm_skips_the_wait(published: Path) -> None:
    with serving(published, "--drain-delay-s", "600", "--preload", "grey") as service:
        service.process.send_signal(signal.SIGTERM)
        while service.get("/readyz") != 503:
            time.sleep(0.01)
        assert service.stop() == 0


@pytest.mark.slow
def test_settings_are_the_logs_last_word_before_serving(published: Path) -> None:
    command = [sys.executable, "-m", "service", "--store", str(published), "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        entries = (json.loads(line) for line in process.stderr)
        settings = next(entry for entry in entries if entry["event"] == "settings")
        assert (settings["store"], settings["threads"], settings["queue_limit"]) == (str(published), 1, 64)
    finally:
        process.kill()
        process.communicate()


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
