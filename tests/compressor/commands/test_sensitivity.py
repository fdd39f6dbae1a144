"""`sensitivity`: its record, what a kill leaves, and that its thresholds are taken by `compress`."""

import argparse
import importlib.abc
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from compressor.commands import sensitivity
from compressor.errors import CheckpointError, CompressorError, RecipeError
from compressor.layer_rules import parse_rules, resolve_rules
from compressor.networks.card import NetworkCard, save_network
from tests.compressor.blobs import CLASSES, TINY, TINY_PREPROCESSING, draw, tiny_network, write_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensitivity")
    write_pictures(folder / "data", draw(60, 1), "train")
    card = NetworkCard(TINY, TINY_PREPROCESSING, CLASSES, {"recipe": {"holdout": 24, "seed": 3}})
    save_network(folder / "dense.safetensors", tiny_network(), card)
    return folder


def run(folder: Path, output: Path, *more: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    sensitivity.add_arguments(parser)
    given = ["--weights", str(folder / "dense.safetensors"), "--data", str(folder / "data"), "--output", str(output)]
    sensitivity.run(parser.parse_args([*given, "--steps", "0.5,1.5", "--quiet", *more]))
    return dict(json.loads((output / "sensitivity.json").read_text()))


def test_every_layer_and_step_is_recorded_and_drawn(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(folder, tmp_path)
    assert [(m["layer"], m["step"]) for m in record["measurements"]] == [
        (layer, step) for layer in ("conv1", "conv2", "linear") for step in (0.5, 1.5)
    ]
    assert (record["network"], record["pictures"], record["by"]) == (TINY, 24, "quality"), "as training set aside"
    assert (tmp_path / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
    assert ">conv2<" in (tmp_path / "sensitivity.svg").read_text()
    said = capsys.readouterr().out
    rules = parse_rules(said.rsplit(" ", 1)[1])
    assert set(resolve_rules(rules, ["conv1", "conv2", "linear"]).values()) <= {0.0, 0.5, 1.5}


def test_a_killed_scan_goes_on_and_ends_with_the_same_measurements(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folder, tmp_path / "whole")["measurements"]
    measured, accuracy_of = [], sensitivity.accuracy_of

    def killed(*arguments: Any) -> float:
        measured.append(1)
        if len(measured) == 4:
            raise KeyboardInterrupt
        return accuracy_of(*arguments)

    monkeypatch.setattr(sensitivity, "accuracy_of", killed)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "killed")
    assert run(folder, tmp_path / "killed")["measurements"] == whole
    assert len(measured) == 4 + 4, "dense, two and the one killed; then the four that were left"


def test_more_steps_are_added_to_those_that_are_there(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path)
    record = run(folder, tmp_path, "--steps", "0.5,1.0,1.5")
    assert sorted({m["step"] for m in record["measurements"]}) == [0.5, 1.0, 1.5]
    assert len(record["measurements"]) == 9


@pytest.mark.parametrize("more", [("--by", "sparsity", "--steps", "0.5"), ("--seed", "4"), ("--holdout", "20")])
def test_another_scan_in_the_same_folder_is_refused(folder: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    run(folder, tmp_path)
    with pytest.raises(CheckpointError, match="of other weights, data or steps; remove it or give another --output"):
        run(folder, tmp_path, *more)


def test_a_damaged_record_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sensitivity.json").write_text("{")
    with pytest.raises(CheckpointError, match="sensitivity.json: not the record of a scan"):
        run(folder, tmp_path)


@pytest.mark.parametrize("loss", ["0", "1"])
def test_the_allowed_loss_decides_the_thresholds(
    loss: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, tmp_path, "--allowed-loss", loss)
    said = capsys.readouterr().out.rstrip().rsplit(" ", 1)[1]
    assert loss == "0" or said == "conv1=1.5,conv2=1.5,linear=1.5,*=1.5"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--allowed-loss", "2"), "--allowed-loss 2.0, must be in 0..1"),
        (("--steps", "a,b"), "--steps a,b: must be numbers with commas between"),
    ],
)
def test_options_outside_their_range_are_refused(
    folder: Path, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RecipeError, match=f"^{message}$"):
        run(folder, tmp_path, *more)


class NoMatplotlib(importlib.abc.MetaPathFinder):
    """Stands for an installation without the extra."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(fullname, name=fullname)


def test_without_matplotlib_the_scan_says_so_before_it_works(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoMatplotlib(), *sys.meta_path])
    with pytest.raises(CompressorError, match=r"plots need matplotlib, .* \(pip install 'csrve\[report\]'\)"):
        run(folder, tmp_path)
    assert not (tmp_path / "sensitivity.json").exists()
