"""The engines of `bench --device cuda`, on torch's CPU device: all but the waiting."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")
pytest.importorskip("safetensors")

from service.bench import catalog
from service.bench.candidate import Candidate, prepare_candidate
from service.bench.catalog import build_engine
from service.bench.comparison import difference_of
from service.bench.cuda_engines import CudaEngine, CudaTorchEngine
from service.bench.engine import FIRST_RUN, Engine
from service.bench.inputs import read_network


@pytest.fixture
def candidate(encoded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    monkeypatch.setattr("service.engine.gpu.lanes.runs_triton", lambda device: False)  # the interpreter takes seconds
    (tmp_path / "small.csrve").write_bytes(encoded)
    network = read_network(str(tmp_path / "small.csrve"), 0)
    return prepare_candidate(network, tmp_path / "files", frozenset({"bundle", "safetensors"}), 3, 0)


@pytest.mark.parametrize(
    ("build", "tolerance"),
    [
        (lambda: CudaEngine("float32", "cpu"), 1e-5),
        (lambda: CudaEngine("bfloat16", "cpu"), 1e-5),  # nothing is measured there, so the plainest kernels run
        (lambda: CudaTorchEngine("float32", device="cpu"), 1e-5),
        (lambda: CudaTorchEngine("bfloat16", device="cpu"), 5e-2),
    ],
)
def test_an_engine_agrees_for_one_batch_after_another(
    build: Callable[[], Engine], tolerance: float, candidate: Candidate
) -> None:
    engine = build()
    for count in (3, 1):
        engine.prepare(candidate.files, candidate.pictures[:count])
        assert difference_of(engine.logits(engine.run()), candidate.expected[:count]) <= tolerance


@pytest.mark.parametrize(
    ("engine", "parts"),
    [
        (CudaEngine("float32", "cpu"), ["read", "verify", "decode on the device", "choose kernels"]),
        (CudaTorchEngine("float32", device="cpu"), ["load file", "load state dict"]),
    ],
)
def test_loading_is_timed_part_by_part(engine: Engine, parts: list[str], candidate: Candidate) -> None:
    laps = engine.load(candidate.files, candidate.pictures[:1])
    assert list(laps) == [*parts, FIRST_RUN]
    assert min(laps.values()) >= 0


def test_names_say_in_which_precision_and_whether_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    switched: list[str] = []
    monkeypatch.setattr("service.bench.cuda_engines.set_precision", switched.append)
    kinds = [kind for kinds in (catalog.CUDA_OWN, catalog.CUDA_PEERS) for entry in kinds.values() for kind in entry]
    built = {kind.name: vars(build_engine(kind.name, 1)) for kind in kinds}
    assert {name: held["_options"].precision for name, held in built.items() if "_options" in held} == {
        "cuda": "float32",
        "cuda-bf16": "bfloat16",
    }
    assert {name: (str(held["_type"]), held["_compiled"]) for name, held in built.items() if "_type" in held} == {
        "torch-cuda": ("torch.float32", False),
        "torch-cuda-tf32": ("torch.float32", False),
        "torch-cuda-bf16": ("torch.bfloat16", False),
        "torch-cuda-compile": ("torch.float32", True),
        "torch-cuda-compile-bf16": ("torch.bfloat16", True),
    }
    assert switched == ["float32", "tf32", "bfloat16", "float32", "bfloat16"]
