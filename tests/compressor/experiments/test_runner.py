"""An experiment from pictures to its record, left alone and killed."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.data import ImageSet, split_images
from compressor.errors import CompressorError
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import ExperimentRun, Places
from compressor.networks.card import save_network
from compressor.results import read_records
from compressor.training.trainer import Trainer
from model_store.bundle import decode_bundle, digest_of
from model_store.store import Store
from tests.compressor.blobs import TINY_CARD, draw, tiny_network, write_pictures
from tests.compressor.experiments.tiny import tiny_experiment

MADE_ANEW = ("minutes", "command", "dense")  # in a record: what two runs need not share


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, draw(96, 1), "train")
    write_pictures(folder, draw(30, 2), "test")
    return folder


def places_in(folder: Path, data: Path) -> Places:
    return Places(str(data), folder / "runs", folder / "store", folder / "records")


def run(
    folder: Path, data: Path, experiment: Experiment | None = None, *, resume: bool = False, smoke: bool = False
) -> dict[str, Any]:
    """Run in this process, and return the record."""
    experiment = (experiment or tiny_experiment()).with_seed(5)
    device = torch.device("cpu")
    path = ExperimentRun(experiment, places_in(folder, data), device, smoke=smoke, progress=False).run(resume=resume)
    return dict(json.loads(path.read_text()))


def test_a_run_leaves_a_bundle_and_a_record_that_results_reads(data: Path, tmp_path: Path) -> None:
    record = run(tmp_path, data)
    stored = Store(tmp_path / "store").read("tiny-seed5")
    assert (record["experiment"], record["tier"], record["name"]) == ("tiny", "must", "tiny-seed5")
    assert record["sha256"] == digest_of(stored.data)
    assert record["accuracy"] == decode_bundle(stored.data).provenance["accuracy"]
    assert record["recipe"]["retrain"]["seed"] == record["dense"]["recipe"]["seed"] == 5
    assert record["dense"]["minutes"] >= 0
    assert "git" in record
    assert [found.fields for found in read_records(tmp_path / "records")] == [record]


def test_the_files_that_an_experiment_names_teach_and_are_in_its_record(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    save_network(path, tiny_network(), TINY_CARD)
    compress = tiny_experiment().compress.with_both(teacher_share=0.5)
    taught = dataclasses.replace(tiny_experiment(), compress=compress, teacher_files=(path,))
    record = run(tmp_path, data, taught)
    assert record["teachers"] == [{"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}]


def test_a_killed_run_resumes_to_the_same_bundle(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", data)
    run_epoch, epochs = Trainer._run_epoch, []

    def killed(trainer: Trainer, *arguments: Any) -> float:
        epochs.append((trainer.name, trainer.epoch))
        if len(epochs) in {2, 5}:  # in the second epoch of the dense training, and in the second of pruning
            raise Killed
        return run_epoch(trainer, *arguments)

    monkeypatch.setattr(Trainer, "_run_epoch", killed)
    for resume in (False, True):
        with pytest.raises(Killed):
            run(tmp_path / "killed", data, resume=resume)
    again = run(tmp_path / "killed", data, resume=True)
    network = tiny_experiment().network
    assert epochs == [
        (network, 0),
        (network, 1),
        (network, 1),
        *[("prune", epoch) for epoch in (0, 1, 1)],
        ("centroids", 0),
    ]
    assert again["sha256"] == whole["sha256"]
    assert {k: v for k, v in again.items() if k not in MADE_ANEW} == {
        k: v for k, v in whole.items() if k not in MADE_ANEW
    }


def test_a_run_that_has_begun_goes_on_only_when_told_to(data: Path, tmp_path: Path) -> None:
    first = run(tmp_path, data)
    with pytest.raises(CompressorError, match="runs/tiny-seed5: begun already; give --resume to go on, or remove it$"):
        run(tmp_path, data)
    assert run(tmp_path, data, resume=True) == first
    assert Store(tmp_path / "store").versions("tiny-seed5") == [1]


def test_a_given_checkpoint_is_compressed_at_the_seed_asked_for_with_the_split_it_was_trained_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = dataclasses.replace(TINY_CARD, training={"recipe": {"holdout": 24, "seed": 9}, "test_accuracy": 0.5})
    save_network(tmp_path / "given.safetensors", tiny_network(), card)
    experiment = dataclasses.replace(tiny_experiment(), train=None, weights=tmp_path / "given.safetensors")
    splits: list[tuple[int, int]] = []

    def split(images: ImageSet, holdout: int, seed: int) -> tuple[ImageSet, ImageSet]:
        splits.append((holdout, seed))
        return split_images(images, holdout, seed)

    monkeypatch.setattr("compressor.experiments.runner.split_images", split)
    record = run(tmp_path, data, experiment)
    assert record["dense"] == card.training
    assert splits == [(24, 9)]
    assert (record["recipe"]["retrain"]["holdout"], record["recipe"]["retrain"]["seed"]) == (24, 5)
    assert not (tmp_path / "runs" / "dense").exists()


def test_a_smoke_run_of_a_given_checkpoint_holds_out_as_few_pictures_as_it_says(data: Path, tmp_path: Path) -> None:
    card = dataclasses.replace(TINY_CARD, training={"recipe": {"holdout": 2000, "seed": 9}, "test_accuracy": 0.5})
    save_network(tmp_path / "given.safetensors", tiny_network(), card)
    experiment = dataclasses.replace(tiny_experiment(), train=None, weights=tmp_path / "given.safetensors")
    assert run(tmp_path, data, experiment, smoke=True)["recipe"]["retrain"]["holdout"] == 30


def test_a_checkpoint_of_another_network_is_refused(data: Path, tmp_path: Path) -> None:
    save_network(tmp_path / "given.safetensors", tiny_network(), dataclasses.replace(TINY_CARD, network="lenet5"))
    experiment = dataclasses.replace(tiny_experiment(), train=None, weights=tmp_path / "given.safetensors")
    with pytest.raises(CompressorError, match="given.safetensors: must be a checkpoint of ours for tests.compressor"):
        run(tmp_path, data, experiment)


@pytest.mark.parametrize("smoke", [False, True])
def test_a_smoke_run_reads_only_some_of_the_pictures(
    smoke: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compressor.experiments.runner.SMOKE_PICTURES", 60)
    seen: list[int] = []
    fit = Trainer.fit

    def counted(trainer: Trainer, images: Any, holdout: Any) -> Any:
        seen.append(len(images) + len(holdout))
        return fit(trainer, images, holdout)

    monkeypatch.setattr(Trainer, "fit", counted)
    run(tmp_path, data, smoke=smoke)
    assert set(seen) == {60 if smoke else 96}
