"""`check`: a bundle that measures what it says, one that does not, and none at all."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from compressor.bundling import bundle_of, oracle_of
from compressor.commands import check
from compressor.errors import CompressorError, DataError
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.training.evaluation import accuracy_of
from model_store.bundle import Bundle, encode_bundle
from model_store.store import Store
from tests.compressor.blobs import TINY_CARD, TINY_PREPROCESSING, draw, tiny_network, write_pictures


def tiny_bundle(**provenance: Any) -> Bundle:
    network = tiny_network()
    share_network(network, ShareRecipe((("*", 8),)), 0)
    return bundle_of(network, TINY_CARD, provenance)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data sets, of which one is the bundle's."""
    monkeypatch.delenv("CSRVE_DATA", raising=False)
    monkeypatch.delenv("CSRVE_STORE", raising=False)
    write_pictures(tmp_path / "data" / "blobs", draw(60, 2), "test")
    others = dataclasses.replace(draw(6, 3), class_names=("x", "y", "z"))
    write_pictures(tmp_path / "data" / "animals", others, "test")
    (tmp_path / "data" / "notes.txt").write_text("no data set")
    return tmp_path


def checked(folder: Path, bundle: Bundle, *more: str) -> None:
    Store.create(folder / "store").publish("tiny", encode_bundle(bundle))
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    check.run(parser.parse_args(["--store", str(folder / "store"), "--quiet", *more]))


def right_accuracy() -> float:
    return accuracy_of(oracle_of(tiny_bundle()), draw(60, 2), TINY_PREPROCESSING)


def test_a_bundle_that_measures_what_it_says_agrees(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = right_accuracy()
    bundle = tiny_bundle(accuracy=accuracy, data={"test": "0" * 16})
    checked(folder, bundle, "--data", str(folder / "data"))
    said = f"tiny/1: {accuracy:.2%} of 60 test pictures, recorded {accuracy:.2%}: agrees"
    assert capsys.readouterr().out == f"{said}, on other pictures than recorded\n"


def test_a_bundle_that_does_not_is_told_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = right_accuracy() + 1 / 60
    with pytest.raises(CompressorError, match="store: 1 of 1 bundles do not measure what they say$"):
        checked(folder, tiny_bundle(accuracy=accuracy), "--data", str(folder / "data"))
    assert "DIFFERS" in capsys.readouterr().out


def test_the_pictures_that_were_recorded_are_known_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from compressor.data import load_images

    digest = load_images(str(folder / "data" / "blobs"), "test", (1, 8, 8), progress=False).digest
    bundle = tiny_bundle(accuracy=right_accuracy(), data={"test": digest[:16]})
    checked(folder, bundle, "--data", str(folder / "data"))
    assert capsys.readouterr().out.endswith(": agrees\n")


def test_the_folder_of_data_sets_may_be_in_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSRVE_DATA", str(folder / "data"))
    checked(folder, tiny_bundle(accuracy=right_accuracy()))
    assert ": agrees" in capsys.readouterr().out


def test_without_data_bundles_are_decoded_and_that_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(folder, tiny_bundle(accuracy=0.5))
    assert capsys.readouterr().out == (
        "CSRVE_DATA is not set: bundles are decoded, but nothing is measured\n"
        "tiny/1: decodes; not measured, no test pictures of its classes\n"
    )


def test_a_bundle_without_a_recorded_accuracy_is_not_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(folder, tiny_bundle(), "--data", str(folder / "data"))
    assert capsys.readouterr().out == "tiny/1: decodes; not measured, no accuracy in its provenance\n"


def test_a_folder_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="^--data /absent: no such folder$"):
        checked(folder, tiny_bundle(), "--data", "/absent")
