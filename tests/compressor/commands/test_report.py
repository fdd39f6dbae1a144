"""`report`: which bundles, which folders, which files."""

import argparse
from pathlib import Path

import pytest

from compressor.commands import report
from compressor.errors import CompressorError
from model_store.store import Store
from tests.compressor.report.test_subject import STAGES, run_folder, tiny_data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CSRVE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = Store.create(tmp_path / "store")
    for name in ("tiny", "other"):
        store.publish(name, tiny_data(accuracy=0.71, stages=STAGES))
    (tmp_path / "runs").mkdir()
    run_folder(tmp_path / "runs" / "tiny")
    return tmp_path


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    report.run(parser.parse_args(arguments))


def test_two_bundles_share_a_page_with_every_picture_beside_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("tiny", "other:1", "--store", "store", "--output", "page")
    written = {path.name for path in (folder / "page").iterdir()}
    tiny = {f"tiny-{what}.png" for what in ("bytes", "bits", "centroids", "weights")}
    other = {f"other-{what}.png" for what in ("bytes", "bits", "weights")}
    assert written == {
        "report.html",
        "accuracy-and-bytes.png",
        "accuracy-and-sparsity.png",
        "stages.png",
        *tiny,
        *other,
    }
    page = (folder / "page" / "report.html").read_text()
    assert "<h2>tiny</h2>" in page
    assert "<h2>other</h2>" in page
    assert "Stages whose weights are at hand: dense, prune, share, decoded." in page
    assert capsys.readouterr().out == "page/report.html: 10 pictures, and as PNG files beside it\n"


@pytest.mark.parametrize("target", ["store/tiny/1.csrve", "tiny.csrve"])
def test_a_file_is_called_by_its_model(folder: Path, target: str) -> None:
    (folder / "tiny.csrve").write_bytes(Store(folder / "store").read("tiny").data)
    run(target)
    assert "<h2>tiny</h2>" in (folder / "runs" / "report" / "report.html").read_text()


def test_dense_weights_can_be_given_for_one_bundle_only(folder: Path) -> None:
    run("other", "--store", "store", "--weights", "runs/dense.safetensors")
    assert "at hand: dense, decoded." in (folder / "runs" / "report" / "report.html").read_text()
    with pytest.raises(CompressorError, match="^--weights runs/dense.safetensors: belongs to one NAME, 2 are given$"):
        run("tiny", "other", "--store", "store", "--weights", "runs/dense.safetensors")


def test_two_bundles_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(CompressorError, match="^tiny, tiny:1: two have the same name, must differ$"):
        run("tiny", "tiny:1", "--store", "store")
