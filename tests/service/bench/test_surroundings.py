import importlib.metadata
import platform
from pathlib import Path

import pytest

from service.bench import surroundings


def test_the_processor_is_named_as_the_system_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n")
    monkeypatch.setattr(surroundings, "CPU_INFO", path)
    assert surroundings.processor() == "Some CPU @ 3 GHz"
    monkeypatch.setattr(surroundings, "CPU_INFO", tmp_path / "missing")
    assert surroundings.processor() == (platform.processor() or platform.machine())


def test_versions_are_those_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package != "numpy":
            raise importlib.metadata.PackageNotFoundError(package)
        return "2.4.6"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert surroundings.versions() == {"python": platform.python_version(), "numpy": "2.4.6"}


def test_instruction_sets_are_the_native_engines() -> None:
    _native = pytest.importorskip("service.engine._native", reason="built without a compiler")
    assert surroundings.instruction_sets() == _native.instruction_sets()
