import asyncio
from contextlib import AbstractContextManager

import pytest

from service.bench_serve.load import Load, apply_load, lua_script, parse_wrk, percentile
from service.bench_serve.overload import flood
from service.bench_serve.requests import as_they_are
from service.errors import BenchError
from tests.service.bench_serve.servers import serving


def answering(status: int) -> AbstractContextManager[int]:
    """The port of a server that reads each request whole and answers with that status."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert head.startswith(b"POST /predict HTTP/1.1\r\n")
            assert (await reader.readexactly(length)).startswith(b"picture")
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}".encode())

    return serving(talk)


@pytest.fixture
def no_wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.bench_serve.load.generator", lambda: "asyncio")
    monkeypatch.setattr("service.bench_serve.load.os.sched_setaffinity", lambda pid, cores: None)


@pytest.mark.usefixtures("no_wrk")
@pytest.mark.parametrize(("status", "good"), [(200, True), (503, False)])
def test_without_wrk_our_own_client_counts_answers(status: int, good: bool) -> None:
    with answering(status) as port:
        load = apply_load(port, as_they_are([b"picture 1", b"picture two"]), 3, 0.05, {0}, None)  # type: ignore[arg-type]
    assert load.requests >= 3
    assert load.failures == (0 if good else load.requests)
    assert (load.rate > 0) == good
    assert 0 < load.p50_ms <= load.p99_ms


@pytest.mark.usefixtures("no_wrk")
def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"^127\.0\.0\.1:1: "):
        apply_load(1, as_they_are([b"picture"]), 1, 0.05, {0}, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "accepted"), [(200, 20), (503, 0)])
def test_an_open_loop_sends_what_is_due_and_tells_accepted_from_refused(status: int, accepted: int) -> None:
    with answering(status) as port:
        found = flood(port, as_they_are([b"picture"]), 1000, 0.02)
    assert (found.due, found.accepted, found.refused) == (20, accepted, 20 - accepted)
    assert (found.unsent, found.broken) == (0, 0)
    assert (found.p99_ms > 0) == (found.goodput > 0) == bool(accepted)


def test_what_nobody_answers_is_broken() -> None:
    found = flood(1, as_they_are([b"picture"]), 1000, 0.01)
    assert (found.due, found.broken, found.accepted, found.p99_ms) == (10, 10, 0, 0)


def test_every_byte_of_a_picture_is_in_the_script() -> None:
    script = lua_script(as_they_are([bytes(range(256)), b"b"]))
    assert '"\\000\\001\\002' in script
    assert '\\254\\255",\n"\\098"\n}' in script


def test_what_wrk_says_is_read_and_what_it_does_not_say_is_an_error() -> None:
    line = 'JSON {"requests": 100, "failures": 10, "duration_us": 2000000, "p50_us": 1500, "p99_us": 2500}'
    load = parse_wrk(f"Running 1s test\n{line}\n")
    assert load == Load(100, 10, 2.0, 1.5, 2.5)
    assert load.rate == 45
    with pytest.raises(BenchError, match="^wrk: unable to connect$"):
        parse_wrk("Running\n", "unable to connect\n")
    with pytest.raises(BenchError, match="^wrk: no output$"):
        parse_wrk("")


def test_a_percentile_is_one_of_the_samples() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 201)], 0.99) == 198.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.99) == 0.0
