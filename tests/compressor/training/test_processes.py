"""Training by several processes, started as torchrun starts them; on the CPU gloo stands in for nccl."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from compressor.cli import main
from compressor.errors import CompressorError
from compressor.training import processes
from compressor.training.files import load_tensors, write_bytes
from compressor.training.processes import (
    first_before_others,
    is_first,
    mean_over_processes,
    own_device,
    own_share,
    process_count,
    take_from_first,
    with_shared_gradients,
)
from model_store.store import Store
from tests.compressor.blobs import PLAIN, TINY, draw, write_pictures

ROOT = Path(__file__).parents[3]
SAME = ("--batch-size", "16", "--learning-rate", "0.05", "--ema-decay", "0.9", "--padding", "0", "--no-flip")
LIMIT_S = 240


def train(folder: Path, output: str, *more: str, network: str = TINY) -> list[str]:
    given = ["train", "--network", network, "--data", str(folder / "data"), "--output", str(folder / output)]
    return [*given, "--epochs", "2", "--holdout", "24", *SAME, "--threads", "1", *more]


def compress(folder: Path, dense: str) -> list[str]:
    given = ["compress", "--weights", str(folder / dense / "network.safetensors"), "--data", str(folder / "data")]
    given += ["--store", str(folder / "store"), "--name", "tiny", "--run", str(folder / "small"), "--sparsity", "0.6"]
    given += ["--epochs", "1", "--centroid-epochs", "1", "--teacher-share", "0.5", "--codebook-size", "8"]
    return [*given, *SAME, "--threads", "1"]


def by_two(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """`python -m compressor` in two processes."""
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "compressor", *arguments]
    command = [sys.executable, "-m", *launch]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and a network that two processes trained on them."""
    folder = tmp_path_factory.mktemp("processes")
    write_pictures(folder / "data", draw(120, 1), "train")
    write_pictures(folder / "data", draw(30, 2), "test")
    done = by_two(train(folder, "by-two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test ") == 1  # the first process alone says what came out
    assert done.stdout.count("epoch 2/2") == 1
    return folder


def test_two_processes_train_what_one_does(folder: Path) -> None:
    done = by_two(train(folder, "plain-by-two", "--quiet", network=PLAIN))
    assert done.returncode == 0, done.stderr
    threads = torch.get_num_threads()
    assert main(train(folder, "plain-by-one", "--quiet", network=PLAIN)) == 0
    torch.set_num_threads(threads)
    two, metadata = load_tensors(folder / "plain-by-two" / "network.safetensors")
    one, _ = load_tensors(folder / "plain-by-one" / "network.safetensors")
    assert metadata["card"]["training"]["processes"] == 2
    assert two.keys() == one.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name} {text}"
        )


def test_two_processes_publish_one_bundle(folder: Path) -> None:
    done = by_two(compress(folder, "by-two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tiny/1.csrve") == 1
    assert list(Store(folder / "store").versions("tiny")) == [1]
    record = json.loads((folder / "small" / "record.json").read_text())
    assert record["processes"] == 2
    assert record["command"].startswith("torchrun --nproc-per-node 2 -m -- compressor compress --weights")


def test_an_error_of_two_processes_is_said(folder: Path) -> None:
    done = by_two(train(folder, "odd", "--batch-size", "15"))
    assert done.returncode != 0
    assert "batch_size = 15, must be a multiple of the 2 processes" in done.stderr


def test_a_process_alone_is_the_first_and_changes_nothing() -> None:
    network = nn.Linear(3, 2)
    before = network.weight.clone()
    assert (process_count(), is_first()) == (1, True)
    assert own_share(15) == slice(0, 15)
    assert own_device("cuda") == "cuda"
    assert with_shared_gradients(network) is network
    assert mean_over_processes(torch.tensor(3.0)) == 3
    take_from_first(network)
    assert torch.equal(network.weight, before)
    with first_before_others():
        pass


def test_shares_cut_a_batch_into_equal_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "process_count", lambda: 4)
    taken: list[int] = []
    for rank in range(4):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        taken += range(12)[own_share(12)]
    assert taken == list(range(12))
    with pytest.raises(CompressorError, match=r"batch_size = 10, must be a multiple of the 4 processes"):
        own_share(10)


def test_each_process_has_the_gpu_of_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "process_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("cuda") == "cuda:1"
    assert own_device("cpu") == "cpu"


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "rank", lambda: 1)
    write_bytes(tmp_path / "a", b"x")
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(processes, "rank", lambda: 0)
    write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
