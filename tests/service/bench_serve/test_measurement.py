import os
from pathlib import Path

import pytest

from service.bench_serve.load import Load
from service.bench_serve.measurement import Job, measure, summarize
from service.bench_serve.requests import as_they_are
from service.bench_serve.servers import command_of, running, tree_bytes
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


def test_a_server_that_ends_is_an_error() -> None:
    with (
        pytest.raises(BenchError, match="^it: ended with status 1$"),
        running("it", ["false"], 1, as_they_are([b"picture"]), os.sched_getaffinity(0)),
    ):
        raise AssertionError("it does not run")


def test_a_tree_has_the_memory_of_its_root_at_least() -> None:
    assert tree_bytes(os.getpid()) > 1 << 20
    assert tree_bytes(os.getppid()) > tree_bytes(os.getpid()) // 2
    assert tree_bytes(0) >= tree_bytes(os.getpid()) // 2
