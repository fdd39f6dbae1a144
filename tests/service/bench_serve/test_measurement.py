import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from service.bench_serve import measurement
from service.bench_serve.load import Load
from service.bench_serve.measurement import Job, measure, summarize
from service.bench_serve.overload import Flood
from service.bench_serve.ports import free_port
from service.bench_serve.report import Row
from service.bench_serve.requests import Requests, as_they_are
from service.bench_serve.servers import Server, command_of, left_out, running, tree_bytes
from service.errors import BenchError


def job(bundle: str = "store/net/1.csrve", rounds: int = 1, connections: tuple[int, ...] = (1,)) -> Job:
    return Job(Path(bundle), connections, rounds, 1, 0, (), "command")


def test_a_row_is_the_rounds_medians_and_all_their_failures() -> None:
    turns = [Load(10, 0, 1, 1, 5), Load(40, 10, 1, 3, 9), Load(21, 1, 1, 2, 7)]
    (row,) = summarize({("a", 8): turns})
    assert (row.name, row.connections, row.rates, row.rate) == ("a", 8, [10, 30, 20], 20)
    assert (row.p50_ms, row.p99_ms, row.failures) == (2, 7, 11)


def test_a_job_says_what_is_wrong_with_it() -> None:
    with pytest.raises(BenchError, match=r"^rounds 0, must be in 1\.\.100$"):
        job(rounds=0)
    with pytest.raises(BenchError, match=r"^connections 1025, must be in 1\.\.1024$"):
        job(connections=(1, 1025))
    with pytest.raises(BenchError, match=r'^"a\.csrve", must be STORE/NAME/VERSION\.csrve$'):
        job("a.csrve")


def test_a_bundle_that_is_not_there_or_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r'1\.csrve": No such file or directory$'):
        measure(job(str(tmp_path / "1.csrve")), print)
    (tmp_path / "2.csrve").write_bytes(b"none")
    with pytest.raises(BenchError, match=r'2\.csrve": '):
        measure(job(str(tmp_path / "2.csrve")), print)


def test_ours_is_started_from_the_store_and_a_peer_from_the_bundle() -> None:
    own = command_of("csrve", Path("store"), "net", 3, 8000, 2)
    assert own[1:] == [
        *("-m", "service", "--store", "store", "--default-model", "net", "--preload", "net:3"),
        *("--log-level", "warning", "--port", "8000", "--threads", "1"),  # the other one reads and writes
    ]
    assert command_of("csrve", Path("store"), "net", 3, 8000, 1)[-1] == "1"
    peer = command_of("fastapi-torch-batched", Path("store"), "net", 3, 8000, 2)
    assert peer[2:5] == ["service.bench_serve.torch_peers", "batched", os.path.join("store", "net", "3.csrve")]
    assert peer[-1] == "2"
    bento = command_of("bentoml", Path("store"), "net", 3, 8000, 2, Path("/there/python"))
    assert bento[0] == "env"
    assert bento[2:5] == ["/there/python", "-m", "service.bench_serve.bentoml_peer"]
    assert left_out()["bentoml"].startswith("needs --bentoml-python")
    assert "bentoml" not in left_out(Path("/there/python"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["false"], "it: ended with status 1"),
        (["sh", "-c", "echo a; echo no module b >&2; echo >&2; exit 3"], "it: ended with status 3: no module b"),
    ],
)
def test_a_server_that_ends_is_an_error(command: list[str], message: str) -> None:
    with (
        pytest.raises(BenchError, match=f"^{message}$"),
        running("it", command, 1, as_they_are([b"picture"]), os.sched_getaffinity(0)),
    ):
        raise AssertionError("it does not run")


def test_a_tree_has_the_memory_of_its_root_at_least() -> None:
    assert tree_bytes(os.getpid()) > 1 << 20
    assert tree_bytes(os.getppid()) > tree_bytes(os.getpid()) // 2
    assert tree_bytes(0) >= tree_bytes(os.getpid()) // 2


def test_a_flood_lasts_as_long_as_told_and_is_of_ours_alone_where_told(monkeypatch: pytest.MonkeyPatch) -> None:
    floods: list[tuple[int, float, float]] = []

    def flood(port: int, requests: Requests, rate: float, duration_s: float) -> Flood:
        floods.append((port, rate, duration_s))
        return Flood(10, 0, 10, 0, 0, duration_s, 1.0)

    monkeypatch.setattr(measurement, "flood", flood)
    stood: list[str] = []
    monkeypatch.setattr(Server, "pause", lambda server: stood.append(server.name))
    monkeypatch.setattr(Server, "resume", lambda server: None)
    servers = [Server(name, port, as_they_are([b"a"]), 0.0, 0, -1) for port, name in enumerate(("csrve", "other"))]
    rows = [Row(server.name, 8, [100.0], 1.0, 2.0, 0, 100.0) for server in servers]
    for peers_too in (False, True):
        floods.clear()
        told = replace(job(), factors=(2.0,), flood_s=7.0, peers_too=peers_too)
        found = measurement._flood_all(told, servers, rows, print)
        assert [row.name for row in found] == ["csrve", "other"][: 1 + peers_too]
        assert floods[0] == (0, 200.0, 7.0)
        assert stood[-1] == found[-1].name  # it stands still again after its turn
        assert floods[1][1:] == (50.0, measurement.PROBE_S)  # the probe of recovery
    with pytest.raises(BenchError, match=r"^flood_s 0, must be in 1\.\.3600$"):
        replace(job(), flood_s=0)


def test_a_server_stands_still_until_its_turn_and_leaves_nobody_behind() -> None:
    code = "import http.server, subprocess, sys; subprocess.Popen(['sleep', '600']); "
    code += "answer = lambda self: (self.send_response(200), self.end_headers()); "
    code += "H = type('H', (http.server.BaseHTTPRequestHandler,), {'do_POST': answer}); "
    port = free_port()
    command = [sys.executable, "-c", code + f"http.server.HTTPServer(('127.0.0.1', {port}), H).serve_forever()"]
    with running("it", command, port, as_they_are([b"a"]), os.sched_getaffinity(0)) as server:
        until_s = time.monotonic() + 10
        while state_of(server.group) != "T":
            assert time.monotonic() < until_s
        server.resume()
        assert state_of(server.group) != "T"
    until_s = time.monotonic() + 10
    while alive(server.group):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def alive(group: int) -> list[int]:
    """Processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(process_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def state_of(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
