"""The real runtimes on a small network, each in a process of its own; those that are not installed are skipped."""

from pathlib import Path

import numpy as np
import pytest

from service.bench.candidate import Candidate, prepare_candidate
from service.bench.catalog import PEERS, EngineKind, choose_engines
from service.bench.comparison import difference_of
from service.bench.engine import FIRST_RUN
from service.bench.inputs import read_network
from service.bench.worker import Load, Measure, Prepare, Worker

KINDS = {kind.name: kind for kinds in PEERS.values() for kind in kinds}
OWN = ("native", "native-plain")


def agrees_and_runs(kind: EngineKind, candidate: Candidate) -> dict[str, float]:
    """Prepare two batch sizes one after the other, run, and load where that is measured."""
    worker = Worker(kind.name, 1)
    try:
        for count in (3, 1):
            worker.send(Prepare(candidate.files, candidate.pictures[:count]))
            assert difference_of(worker.receive(), candidate.expected[:count]) <= 1e-5
        worker.send(Measure(0.001, 0.005))
        assert min(worker.receive()) > 0
        if not kind.loads:
            return {}
        worker.send(Load(candidate.files, candidate.pictures[:1]))
        laps: dict[str, float] = worker.receive()
        return laps
    finally:
        worker.close()


def candidate_for(kind: EngineKind, encoded: bytes, folder: Path) -> Candidate:
    (folder / "small.csrve").write_bytes(encoded)
    network = read_network(str(folder / "small.csrve"), 0)
    return prepare_candidate(network, folder / "files", frozenset({kind.file}), 3, 0)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("torch", ["load file", "load state dict"]),
        ("torch-channels-last", []),
        pytest.param("torch-compile", [], marks=pytest.mark.slow),  # inductor calls the C++ compiler
        ("onnxruntime", ["create session"]),
        ("openvino", ["read model", "compile"]),
    ],
)
def test_a_peer_agrees_and_is_timed(name: str, parts: list[str], encoded: bytes, tmp_path: Path) -> None:
    absent = choose_engines(("numpy",), tuple(PEERS)).absent
    if name in absent:
        pytest.skip(f"{name} {absent[name]}")
    laps = agrees_and_runs(KINDS[name], candidate_for(KINDS[name], encoded, tmp_path))
    assert list(laps) == ([*parts, FIRST_RUN] if parts else [])


@pytest.mark.parametrize("name", OWN)
def test_our_native_engines_agree_and_are_timed(name: str, encoded: bytes, tmp_path: Path) -> None:
    choice = choose_engines((name, "numpy"), ())
    if name in choice.absent:
        pytest.skip(f"{name} {choice.absent[name]}")
    laps = agrees_and_runs(choice.present[0], candidate_for(choice.present[0], encoded, tmp_path))
    assert list(laps) == ["read", "verify", "decode", "compile", FIRST_RUN]


def test_pictures_are_drawn_from_the_seed(encoded: bytes, tmp_path: Path) -> None:
    (tmp_path / "small.csrve").write_bytes(encoded)
    network = read_network(str(tmp_path / "small.csrve"), 0)
    drawn = [
        prepare_candidate(network, tmp_path / str(index), frozenset(), 2, seed).pictures
        for index, seed in enumerate((1, 1, 2))
    ]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
