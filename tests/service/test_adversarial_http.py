"""V4 to V6 and V18 of the checklist in SECURITY.md, through a real socket: what no client library would send."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.drawings import png
from tests.service.processes import Service, receive_all, serving
from tests.service.test_problems import LEAK

FRAMING = {  # request -> the status of the one answer
    "two lengths": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    "two lengths in one": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nxx", 400),
    "a negative length": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    "a signed length": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", 400),
    "a length in hexadecimal": (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\nx", 400),
    "a length of a thousand digits": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 1000 + b"\r\n\r\n",
        400,
    ),
    "length and chunks": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "length and chunks of what has no body": (
        b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "a HEAD of 64 kB": (b"HEAD / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536 + b"\r\n\r\n", 431),
    "an unknown transfer encoding": (b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "chunked twice": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        501,
    ),
    "chunked with a tab before the colon": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n",
        400,
    ),
    "a chunk's length that is none": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    "a chunk's length of 30 digits": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"f" * 30
        + b"\r\n",
        400,
    ),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "a header without a name": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400),
    "a zero byte in a header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32 + b"\r\n\r\n", 400),
    "a URL of 64 kB": (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a header of 64 kB": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536 + b"\r\n\r\n", 431),
    "ten thousand headers": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)),
        431,
    ),
}
CLOSE = b"Host: x\r\nConnection: close\r\n\r\n"
ODD = {  # request line -> status
    b"GET /%zz HTTP/1.1": 404,
    b"GET /%00 HTTP/1.1": 404,
    b"GET /%ff%fe HTTP/1.1": 404,
    b"GET /models/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1": 404,
    b"GET /models/../../etc/passwd HTTP/1.1": 404,
    b"GET //models HTTP/1.1": 404,
    b"GET /models?version=%ff HTTP/1.1": 200,
    b"GET http://elsewhere/models HTTP/1.1": 404,
    b"CONNECT elsewhere:443 HTTP/1.1": 404,
    b"OPTIONS * HTTP/1.1": 404,
}


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Service]:
    """One that all tests share: whatever came before, it answers."""
    with serving(published, "--default-model", "colour") as service:
        yield service


def predicts(service: Service) -> bool:
    """Whether the next valid request is served."""
    picture = png()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\n"
    sent = head + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    return service.exchange(sent).startswith(b"HTTP/1.1 200")


def answer_to(service: Service, data: bytes) -> bytes:
    """What comes back, of a server that may have closed before all was sent."""
    with service.connect() as connection:
        try:
            connection.sendall(data)
            return receive_all(connection)
        except (ConnectionResetError, BrokenPipeError):
            return b""


@pytest.mark.parametrize("name", FRAMING)
def test_v5_v6_what_is_framed_otherwise_than_http_says_gets_one_problem_and_the_connection_ends(
    service: Service, name: str
) -> None:
    data, status = FRAMING[name]
    answer = answer_to(service, data)
    if answer:  # it may be lost where the server closed while we still sent
        assert answer.count(b"HTTP/1.1 ") == 1
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        assert b"application/problem+json" in head
        if data.startswith(b"HEAD "):
            assert (body, b"Connection: close" in head or b"connection: close" in head) == (b"", True)
            assert predicts(service)
            return
        problem = json.loads(body)
        assert (problem["status"], problem["code"] == "headers_too_large") == (status, status == 431)
        assert problem["request_id"].encode() in head
        assert not LEAK.search(body.decode())
    else:
        assert status == 431
    assert predicts(service)


@pytest.mark.parametrize("line", ODD)
def test_v6_v18_odd_addresses_lead_nowhere(service: Service, line: bytes) -> None:
    head, _, body = service.exchange(line + b"\r\n" + CLOSE).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % ODD[line]), head
    assert b"root:" not in body
    assert not LEAK.search(body.decode()) or ODD[line] == 200


def test_v6_what_follows_a_request_of_no_declared_body_is_a_request_of_its_own(service: Service) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\n" + CLOSE
    answers = service.exchange(smuggled)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"]


def test_v5_rubbish_after_an_answer_that_did_not_wait_for_the_body_ends_the_connection(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET /models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        received = connection.recv(65_536)
        connection.sendall(b"zz\r\n")
        received += receive_all(connection)
    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1 ") == 1
    assert predicts(service)


@pytest.mark.parametrize(("expect", "answers"), [(b"100-continue", [b"100", b"200"]), (b"nonsense", [b"200"])])
def test_v4_who_expects_to_be_told_to_continue_is_told(service: Service, expect: bytes, answers: list[bytes]) -> None:
    picture = png()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\n"
    sent = head + b"Expect: %s\r\nContent-Length: %d\r\n\r\n" % (expect, len(picture))
    with service.connect() as connection:
        connection.sendall(sent)
        first = connection.recv(65_536) if len(answers) == 2 else b""
        connection.sendall(picture)
        received = first + receive_all(connection)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == answers


@pytest.mark.slow
def test_v5_three_megabytes_in_chunks_of_one_byte_take_bounded_memory(published: Path) -> None:
    """Triton's CVE-2025-23310: one allocation on the stack for each chunk."""
    with serving(published, "--default-model", "colour", "--upload-timeout-s", "5") as service:
        assert predicts(service)
        before = peak_kib(service)
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = answer_to(service, head + b"1\r\nx\r\n" * 3_000_000 + b"0\r\n\r\n")
        assert not answer or answer[9:12] in {b"408", b"415"}
        assert peak_kib(service) - before < 40 * 1024
        assert predicts(service)


def peak_kib(service: Service) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.slow
def test_v19_where_descriptors_run_out_the_service_waits_and_goes_on_when_they_are_freed(published: Path) -> None:
    with serving(published, "--default-model", "colour", "--head-timeout-s", "60") as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        held = [service.connect() for _ in range(150)]
        for connection in held:
            connection.close()
        assert predicts(service)
