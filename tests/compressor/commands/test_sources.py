"""Where commands get networks, pictures and bundles from: the command line, else the file, else the data."""

import argparse
from pathlib import Path

import pytest
import torch

from compressor.commands.sources import (
    add_network,
    choose_preprocessing,
    is_bundle,
    load_network,
    load_test_images,
    network_shape,
    read_bundle,
)
from compressor.data.images import ImageSet
from compressor.errors import CheckpointError, CompressorError, DataError
from compressor.networks.card import save_network
from model_store.bundle import encode_bundle
from model_store.errors import BundleError, ModelNotFound, StoreError
from model_store.preprocessing import Preprocessing
from model_store.store import Store
from tests.compressor.blobs import (
    CLASSES,
    TINY,
    TINY_CARD,
    TINY_PREPROCESSING,
    draw,
    same_state,
    tiny_network,
    write_pictures,
)
from tests.model_store.sample_bundles import tiny_bundle

IMAGES = draw(12, 0)


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_network(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def carded(tmp_path: Path) -> Path:
    """Weights that say which network they are for."""
    save_network(tmp_path / "carded.safetensors", tiny_network(), TINY_CARD)
    return tmp_path / "carded.safetensors"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Weights that do not."""
    torch.save(tiny_network().state_dict(), tmp_path / "plain.pth")
    return tmp_path / "plain.pth"


def test_weights_of_ours_need_nothing_on_the_command_line(carded: Path) -> None:
    network, card = load_network(options(), carded, IMAGES)
    assert card == TINY_CARD
    assert same_state(network, tiny_network())
    assert network_shape(options(), carded) == (1, 8, 8)


def test_weights_from_elsewhere_need_their_network_and_take_statistics_from_the_data(plain: Path) -> None:
    network, card = load_network(options("--network", TINY), plain, IMAGES)
    assert same_state(network, tiny_network())
    assert card.network == TINY
    assert card.preprocessing == Preprocessing(8, 8, *IMAGES.statistics())
    assert (card.class_names, card.training) == (CLASSES, {})
    assert network_shape(options("--network", TINY), plain) == (1, 8, 8)


def test_weights_from_elsewhere_without_their_network_are_refused(plain: Path) -> None:
    message = f"^{plain} does not say which network it is for; give --network$"
    with pytest.raises(CompressorError, match=message):
        load_network(options(), plain, IMAGES)
    with pytest.raises(CompressorError, match=message):
        network_shape(options(), plain)


def test_the_command_line_wins_over_the_card(carded: Path) -> None:
    _, card = load_network(options("--mean", "0.5", "--std", "0.125"), carded, IMAGES)
    assert card.preprocessing == Preprocessing(8, 8, (0.5,), (0.125,))
    assert network_shape(options("--network", "resnet20"), carded) == (3, 32, 32)


def test_weights_of_another_network_are_refused(carded: Path) -> None:
    with pytest.raises(CheckpointError, match=f"^{carded}: "):
        load_network(options("--network", "lenet300"), carded, IMAGES)


def test_data_of_other_classes_is_refused(carded: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_network(options(), carded, ImageSet(IMAGES.pixels, IMAGES.labels, ("x", "y", "z")))
    assert str(caught.value) == f"{carded} knows the classes {CLASSES}, the data has ('x', 'y', 'z')"


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ("0.5", None, "--mean and --std must be given together"),
        (None, "0.5", "--mean and --std must be given together"),
        ("0.5,0.5", "0.2", "--mean 0.5,0.5: 2 numbers, must be one for each of 1 channels"),
        ("half", "0.2", "--mean half: must be numbers with commas between"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(mean: str | None, std: str | None, message: str) -> None:
    with pytest.raises(CompressorError) as caught:
        choose_preprocessing(argparse.Namespace(mean=mean, std=std), None, (1, 8, 8), IMAGES)
    assert str(caught.value) == message


@pytest.mark.parametrize(("mean", "std"), [("nan", "1"), ("0.5", "0"), ("0.5", "-1"), ("inf", "1")])
def test_statistics_that_nothing_can_be_normalised_by_are_refused(mean: str, std: str) -> None:
    with pytest.raises(BundleError, match="^preprocessing: "):
        choose_preprocessing(argparse.Namespace(mean=mean, std=std), None, (1, 8, 8), IMAGES)


def test_a_channel_without_contrast_is_divided_by_one() -> None:
    black = ImageSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    found = choose_preprocessing(options(), None, (3, 8, 8), black)
    assert found == Preprocessing(8, 8, (0.0,) * 3, (1.0,) * 3)


def test_known_statistics_win_over_the_datas() -> None:
    assert choose_preprocessing(options(), TINY_PREPROCESSING, (1, 8, 8), IMAGES) == TINY_PREPROCESSING


@pytest.mark.parametrize(
    ("target", "bundle"),
    [
        ("a.csrve", True),
        ("tiny", True),
        ("tiny:3", True),
        ("a.safetensors", False),
        ("b/c.pth", False),
        ("c.pt", False),
    ],
)
def test_weights_are_told_from_bundles_by_their_suffix(target: str, bundle: bool) -> None:
    assert is_bundle(target) is bundle


def test_bundles_are_read_by_file_by_name_and_by_version(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    for seed in (1, 2):
        store.publish("tiny", encode_bundle(tiny_bundle(seed)))
    root = tmp_path / "store"
    found = [read_bundle("tiny", root), read_bundle("tiny:1", root), read_bundle(f"{root}/tiny/2.csrve", None)]
    assert [bundle.provenance["seed"] for bundle in found] == [2, 1, 2]


def test_bundles_that_are_not_there_are_refused(tmp_path: Path) -> None:
    Store.create(tmp_path)
    with pytest.raises(CompressorError, match="^tiny: to read it from a store give --store$"):
        read_bundle("tiny", None)
    with pytest.raises(ModelNotFound):
        read_bundle("tiny", tmp_path)
    with pytest.raises(StoreError):
        read_bundle("tiny:latest", tmp_path)
    with pytest.raises(CheckpointError, match="^absent: cannot be read \\(No such file or directory\\)$"):
        read_bundle("./absent", tmp_path)


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csrve"
    path.write_bytes(b"not a bundle")
    with pytest.raises(BundleError):
        read_bundle(str(path), None)
    monkeypatch.setattr("compressor.commands.sources.MAX_BUNDLE_BYTES", 11)
    with pytest.raises(BundleError, match=f"^{path}: 12 bytes, must be <= 11$"):
        read_bundle(str(path), None)


def test_test_pictures_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, IMAGES, "test")
    assert len(load_test_images(str(tmp_path), (1, 8, 8), CLASSES, progress=False)) == 12
    with pytest.raises(DataError) as caught:
        load_test_images(str(tmp_path), (1, 8, 8), ("a", "b"), progress=False)
    assert str(caught.value) == f"--data {tmp_path}: test has the classes {CLASSES}, must be ('a', 'b')"
