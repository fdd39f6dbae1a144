"""`train`: what it measures, where it starts, and that it goes on after a kill."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.commands import train
from compressor.commands.sources import load_test_images
from compressor.errors import CheckpointError, CompressorError
from compressor.networks.card import load_network, save_network
from compressor.training.files import load_tensors, save_tensors
from compressor.training.trainer import Trainer
from tests.compressor.blobs import TINY, TINY_CARD, draw, same_state, tiny_network, write_pictures

ACCURACY_LINE = "{path}: {network}, holdout {holdout:.2%}, test {test:.2%}\n"


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, draw(60, 1), "train")
    write_pictures(folder, draw(24, 2), "test")
    return folder


def run(data: Path, output: Path, *more: str) -> dict[str, Any]:
    """Run the command in this process, and return what the network's card says of its training."""
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    given = ["--network", TINY, "--data", str(data), "--output", str(output), "--epochs", "2", "--holdout", "12"]
    train.run(parser.parse_args([*given, "--batch-size", "16", "--learning-rate", "0.05", "--quiet", *more]))
    return dict(load_tensors(output / "network.safetensors")[1]["card"]["training"])


def test_a_killed_training_goes_on_to_the_same_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(data, tmp_path / "whole")
    run_epoch, epochs = Trainer._run_epoch, []

    def killed(trainer: Trainer, *arguments: Any) -> float:
        epochs.append(trainer.epoch)
        if len(epochs) == 2:
            raise Killed
        return run_epoch(trainer, *arguments)

    monkeypatch.setattr(Trainer, "_run_epoch", killed)
    with pytest.raises(Killed):
        run(data, tmp_path / "killed")
    assert not (tmp_path / "killed" / "network.safetensors").exists()
    again = run(data, tmp_path / "killed")
    assert epochs == [0, 1, 1]
    networks = [load_network(tmp_path / name / "network.safetensors", TINY, 3) for name in ("whole", "killed")]
    assert same_state(*networks)
    assert (again["test_accuracy"], again["holdout_accuracy"]) == (whole["test_accuracy"], whole["holdout_accuracy"])


def test_the_test_pictures_are_read_once_at_the_end_and_not_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs: list[int] = []

    def counted(*arguments: Any, **keywords: Any) -> Any:
        epochs.append(load_tensors(tmp_path / "train.safetensors")[1]["epoch"])
        return load_test_images(*arguments, **keywords)

    monkeypatch.setattr(train, "load_test_images", counted)
    training = run(data, tmp_path)
    assert epochs == [2]
    capsys.readouterr()
    assert run(data, tmp_path) == training
    assert epochs == [2]
    assert capsys.readouterr().out == ACCURACY_LINE.format(
        path=tmp_path / "network.safetensors",
        network=TINY,
        holdout=training["holdout_accuracy"],
        test=training["test_accuracy"],
    )


def test_grey_pictures_are_not_flipped_unless_asked_to(data: Path, tmp_path: Path) -> None:
    plain = run(data, tmp_path / "plain", "--epochs", "1")["recipe"]["augmentation"]
    flipped = run(data, tmp_path / "flipped", "--epochs", "1", "--flip")["recipe"]["augmentation"]
    assert (plain["flip"], flipped["flip"]) == (False, True)


def test_training_starts_from_the_weights_that_are_given(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, torch.Tensor]] = []
    fit = Trainer.fit

    def noted(trainer: Trainer, *arguments: Any) -> Any:
        started.append({name: value.clone() for name, value in trainer.network.state_dict().items()})
        return fit(trainer, *arguments)

    monkeypatch.setattr(Trainer, "fit", noted)
    save_network(tmp_path / "start.safetensors", tiny_network(seed=9), TINY_CARD)
    run(data, tmp_path / "warm", "--epochs", "1", "--weights", str(tmp_path / "start.safetensors"))
    run(data, tmp_path / "cold", "--epochs", "1", "--seed", "3")
    warm, cold = tiny_network(seed=9).state_dict(), tiny_network(seed=3).state_dict()
    assert all(torch.equal(started[0][name], warm[name]) for name in warm)
    assert all(torch.equal(started[1][name], cold[name]) for name in cold)


def test_the_network_must_be_named(data: Path, tmp_path: Path) -> None:
    options = argparse.Namespace(network=None)
    with pytest.raises(CompressorError, match="^--network: must be given$"):
        train.run(options)


def test_a_folder_goes_on_with_nothing_but_what_it_was_begun_with(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run")
    others = tmp_path / "others"
    write_pictures(others, draw(60, 3), "train")
    write_pictures(others, draw(24, 4), "test")
    weights = tmp_path / "weights.safetensors"
    save_network(weights, tiny_network(), TINY_CARD)
    before = (tmp_path / "run" / "network.safetensors").read_bytes()
    for place, more in ((others, ()), (data, ("--weights", str(weights))), (data, ("--mean", "0.1", "--std", "0.9"))):
        with pytest.raises(CheckpointError, match="stage 'train' was begun with another recipe, network or data; "):
            run(place, tmp_path / "run", *more)
    assert (tmp_path / "run" / "network.safetensors").read_bytes() == before
    assert run(data, tmp_path / "run")


def test_what_weights_were_not_trained_on_stays_set_aside(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(data, tmp_path / "first", "--seed", "7")
    weights = ("--weights", str(tmp_path / "first" / "network.safetensors"))
    second = run(data, tmp_path / "second", *weights)
    assert "began_with" not in first
    assert (second["recipe"]["seed"], second["recipe"]["holdout"]) == (7, 12)
    assert second["began_with"] == {"file": weights[1], "holdout_doubt": None}
    capsys.readouterr()
    third = run(data, tmp_path / "third", *weights, "--seed", "5")
    doubt = "the network's training set 12 pictures aside by seed 7, and now there are 12 by seed 5"
    assert third["began_with"]["holdout_doubt"] == doubt
    assert capsys.readouterr().out.splitlines()[-2] == f"holdout: {doubt}; accuracies on it may be too high"
    foreign = tmp_path / "foreign.safetensors"
    save_tensors(foreign, dict(tiny_network().state_dict()), {})
    fourth = run(data, tmp_path / "fourth", "--weights", str(foreign))
    assert fourth["began_with"]["holdout_doubt"] == "nothing says what the network was trained on"
