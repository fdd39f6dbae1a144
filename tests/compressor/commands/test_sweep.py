"""`sweep`: what is skipped, what is said, and what is asked of Ray."""

import argparse
import json
import sys
from pathlib import Path

import pytest

from compressor.commands import sweep
from compressor.errors import CompressorError, DataError
from compressor.experiments import EXPERIMENTS
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import ExperimentRun


def run(folder: Path, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    sweep.add_arguments(parser)
    places = ("--runs", str(folder / "runs"), "--store", str(folder / "store"), "--records", str(folder / "records"))
    sweep.run(parser.parse_args([*arguments, *places, "--quiet"]))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every run that is asked for, instead of hours of training; LeNet-300 finds no pictures."""
    asked: list[str] = []

    def noted(self: ExperimentRun, *, resume: bool) -> Path:
        assert resume
        assert all(file.is_absolute() for file in self.experiment.files)
        name = self.experiment.run_name()
        asked.append(f"{name} on {self.places.data}")
        if self.experiment.network == "lenet300":
            raise DataError("mnist: not there")
        assert self.places.records is not None
        self.places.records.mkdir(exist_ok=True)
        path = self.places.records / f"{name}.json"
        path.write_text(json.dumps({"experiment": self.experiment.name}))
        return path

    monkeypatch.setattr(ExperimentRun, "run", noted)
    return asked


def test_what_has_its_record_is_not_run_again(
    tmp_path: Path, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "lenet5-must", "--seed", "0", "--local")
    run(tmp_path, "lenet5-must", "lenet5-beats", "--seed", "0", "--local")
    assert ran == ["lenet5-must-seed0 on mnist", "lenet5-beats-seed0 on mnist"]
    assert capsys.readouterr().out == "".join(
        f"{name}: {tmp_path}/records/{name}.json\n" for name in ("lenet5-must-seed0", "lenet5-beats-seed0")
    )


def test_a_run_that_fails_does_not_stop_the_others(
    tmp_path: Path, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CompressorError) as caught:
        run(tmp_path, "--network", "lenet300", "--network", "lenet5", "--tier", "must", "--seed", "0", "--local")
    assert str(caught.value) == "sweep: 1 of 2 runs failed: lenet300-must-seed0"
    assert capsys.readouterr().out == (
        f"lenet300-must-seed0: mnist: not there\nlenet5-must-seed0: {tmp_path}/records/lenet5-must-seed0.json\n"
    )


def test_without_ray_it_says_what_to_install(tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "compressor.experiments.on_ray", raising=False)
    with pytest.raises(CompressorError) as caught:
        run(tmp_path, "lenet5-must")
    assert str(caught.value) == 'sweep: Ray is not installed; install "csrve[scale]", or give --local'
    assert ran == []


def test_data_is_a_folder_from_here_or_a_set_by_name(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "lenet5-must", "--seed", "0", "--local", "--data", "mnist")
    run(tmp_path, "lenet5-must", "--seed", "1", "--local", "--data", "digits")
    assert ran == ["lenet5-must-seed0 on mnist", f"lenet5-must-seed1 on {tmp_path}/digits"]


def touch(folder: Path, experiment: Experiment) -> None:
    for file in experiment.files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_files_that_an_experiment_begins_with_are_found_from_the_folders_of_tasks(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = EXPERIMENTS["resnet20-must"]
    assert len(experiment.files) == 3  # the dense network and two teachers
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, experiment)
    run(tmp_path, "resnet20-must", "--seed", "0", "--local")
    assert ran == ["resnet20-must-seed0 on cifar10"]
    found = experiment.from_here()
    assert found.weights == tmp_path / "checkpoints" / "resnet20-cifar10.safetensors"
    assert found.teacher_files == tuple(tmp_path / file for file in experiment.teacher_files)
    assert EXPERIMENTS["lenet5-must"].from_here() == EXPERIMENTS["lenet5-must"]


def test_files_that_are_not_there_are_told_before_anything_runs_unless_their_run_is_done(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CompressorError) as caught:
        run(tmp_path, "lenet5-must", "resnet20-must", "--seed", "0", "--local")
    assert str(caught.value) == (
        "checkpoints/resnet20-cifar10.safetensors: no such file, that resnet20-must begins with; "
        "run it from the folder that has it"
    )
    assert ran == []
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "resnet20-must-seed0.json").write_text(json.dumps({"experiment": "resnet20-must"}))
    run(tmp_path, "lenet5-must", "resnet20-must", "--seed", "0", "--local")
    assert ran == ["lenet5-must-seed0 on mnist"]
