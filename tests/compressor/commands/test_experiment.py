"""`experiment`: the list, which seeds run, and what is said at the end."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from compressor.commands import experiment
from compressor.errors import CompressorError, RecipeError
from compressor.experiments import ALL, EXPERIMENTS
from compressor.experiments.runner import ExperimentRun


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    experiment.add_arguments(parser)
    experiment.run(parser.parse_args(arguments))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[ExperimentRun, bool]]:
    """Every run that is asked for, instead of hours of training."""
    asked: list[tuple[ExperimentRun, bool]] = []

    def noted(self: ExperimentRun, *, resume: bool) -> Path:
        asked.append((self, resume))
        path = tmp_path / "record.json"
        path.write_text(json.dumps({"bundle_bytes": 64_000, "dense_bytes": 1_084_392, "accuracy": 0.9211}))
        return path

    monkeypatch.setattr(ExperimentRun, "run", noted)
    return asked


def test_without_a_name_all_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["experiment", *ALL]
    assert "65 kB at 92.0%" in lines[1 + list(EXPERIMENTS).index("resnet20-must")]


def test_every_seed_declared_is_run_and_its_target_told(
    runs: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("resnet20-must", "--data", "pictures")
    assert [asked.experiment.seeds for asked, _ in runs] == [(0,), (1,), (2,)]
    assert {asked.places.data for asked, _ in runs} == {"pictures"}
    assert {asked.places.records for asked, _ in runs} == {Path("docs/results")}
    said = f"{tmp_path}/record.json: 64000 bytes at 92.11%; must, 65 kB at 92.0%: met\n"
    assert capsys.readouterr().out == 3 * said


def test_files_that_it_begins_with_are_asked_for_before_it_runs(
    runs: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CompressorError, match="^checkpoints/resnet20-cifar10.safetensors: no such file, that "):
        run("resnet20-must")
    assert runs == []
    assert list(tmp_path.iterdir()) == []


def test_one_seed_can_be_run_alone_and_resumed(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    run("resnet20-beats", "--seed", "4", "--resume")
    ((asked, resume),) = runs
    assert (asked.experiment.run_name(), resume, asked.places.data) == ("resnet20-beats-seed4", True, "cifar10")
    assert capsys.readouterr().out.endswith("beats every published row, 45 kB at 91.7%: not met\n")


def test_a_smoke_run_writes_no_record(runs: list[Any]) -> None:
    run("vgg16-must", "--smoke")
    ((asked, resume),) = runs
    assert (asked.smoke, asked.places.records, resume) == (True, None, False)
    assert asked.experiment.name == "vgg16-must-smoke"


def test_an_unknown_experiment_is_refused() -> None:
    with pytest.raises(RecipeError, match="^experiment nothing: unknown, must be one of "):
        run("nothing")
