"""`evaluate`: a bundle and weights from elsewhere, measured on drawn pictures."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from compressor.bundling import bundle_of
from compressor.commands import evaluate
from compressor.errors import CompressorError
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.training.evaluation import accuracy_of, normalise
from model_store.bundle import Bundle, encode_bundle
from service.engine import compile_plan
from tests.compressor.blobs import TINY, TINY_CARD, TINY_PREPROCESSING, draw, tiny_network, write_pictures

TEST = draw(45, 2)
STATISTICS = ("--mean", "0.3", "--std", "0.25")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test pictures alone, a bundle and a foreign weights file."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_pictures(folder, TEST, "test")
    (folder / "tiny.csrve").write_bytes(encode_bundle(shared_bundle()))
    torch.save({"state_dict": tiny_network(4).state_dict()}, folder / "plain.pth")
    return folder


def shared_bundle() -> Bundle:
    network = tiny_network(4)
    share_network(network, ShareRecipe((("*", 8),)), 0)
    return bundle_of(network, TINY_CARD)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    evaluate.run(parser.parse_args([*arguments, "--quiet"]))
    return capsys.readouterr().out


def in_file_order() -> tuple[np.ndarray, np.ndarray]:
    """Pictures by class, as a folder lists them."""
    order = torch.argsort(TEST.labels, stable=True)
    return normalise(TEST.pixels[order], TINY_PREPROCESSING).contiguous().numpy(), TEST.labels[order].numpy()


def test_a_bundle_measures_as_it_does_in_the_service(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, labels = in_file_order()
    expected = float(np.mean(compile_plan(shared_bundle()).run(pictures).argmax(1) == labels))
    target = str(folder / "tiny.csrve")
    assert printed(capsys, target, "--data", str(folder)) == f"{target}: {expected:.2%} of 45 test pictures\n"


def test_weights_from_elsewhere_measure_as_the_network_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = accuracy_of(tiny_network(4), TEST, TINY_PREPROCESSING)
    target = str(folder / "plain.pth")
    line = printed(capsys, target, "--data", str(folder), "--network", TINY, *STATISTICS)
    assert line == f"{target}: {expected:.2%} of 45 test pictures\n"


def test_weights_from_elsewhere_must_be_given_their_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CompressorError, match="does not say which network it is for; give --network$"):
        printed(capsys, str(folder / "plain.pth"), "--data", str(folder))
