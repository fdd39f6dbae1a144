import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import compressor.record
from compressor.record import csrve_version, git_revision, surroundings


def test_the_surroundings_are_json_and_complete() -> None:
    record = surroundings()
    assert json.loads(json.dumps(record)) == record
    names = {"command", "processor", "cores", "threads", "processes", "accelerator", "python", "torch", "csrve", "git"}
    assert record.keys() == names
    assert record["threads"] == torch.get_num_threads()
    assert record["python"] == platform.python_version()
    assert record["torch"] == torch.__version__
    assert record["processor"]


def test_the_command_can_be_pasted_into_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py", "train", "--data", "my pictures", "--seed", "3"])
    assert surroundings()["command"] == "python -m compressor train --data 'my pictures' --seed 3"


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert surroundings()["cores"] == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert surroundings()["cores"] == 7


def test_the_accelerator_is_named_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert surroundings()["accelerator"] is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a large one")
    assert surroundings()["accelerator"] == "a large one"


def test_the_processor_is_named_also_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compressor.record, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : a\nmodel name\t: Fast CPU 9000\n")
    assert surroundings()["processor"] == "Fast CPU 9000"
    (tmp_path / "cpuinfo").unlink()
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert surroundings()["processor"] == platform.machine()


def test_the_version_is_that_of_the_distribution_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"csrve": "1.2.3"}[name])
    assert csrve_version() == "1.2.3"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert csrve_version() == "0+checkout"


def test_the_revision_is_that_of_the_sources_or_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def revision_of(root: Path) -> str | None:
        monkeypatch.setattr(compressor.record, "__file__", str(root / "compressor" / "record.py"))
        return git_revision()

    assert revision_of(tmp_path) is None
    (tmp_path / "file").write_text("1")
    for arguments in (("init",), ("add", "."), ("commit", "-m", "first"), ("tag", "v1")):
        git(*arguments)
    clean = revision_of(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "file").write_text("2")
    assert revision_of(tmp_path) == f"{clean}-dirty"
    (tmp_path / "environment").mkdir()
    assert revision_of(tmp_path / "environment") is None, "installed below another project's checkout"
    monkeypatch.setenv("PATH", "")
    assert revision_of(tmp_path) is None
