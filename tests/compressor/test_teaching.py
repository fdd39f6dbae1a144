"""Teachers from files: checkpoints of ours and bundles."""

import hashlib
from pathlib import Path

import pytest
import torch

from compressor.bundling import bundle_of
from compressor.errors import CheckpointError
from compressor.networks.card import save_network
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.teaching import load_teachers
from compressor.training.evaluation import normalise
from compressor.training.files import save_tensors
from model_store.bundle import encode_bundle
from tests.compressor.blobs import CLASSES, TINY_CARD, TINY_PREPROCESSING, draw, tiny_network


def test_a_checkpoint_and_a_bundle_teach_what_they_predict(tmp_path: Path) -> None:
    network = tiny_network(4).eval()
    share_network(network, ShareRecipe((("*", 64),)), seed=0)  # a bundle holds codebooks
    checkpoint, bundle = tmp_path / "a.safetensors", tmp_path / "b.csrve"
    save_network(checkpoint, network, TINY_CARD)
    bundle.write_bytes(encode_bundle(bundle_of(network, TINY_CARD)))
    images = normalise(draw(12, 3).pixels, TINY_PREPROCESSING)
    for teacher, path in zip(load_teachers([checkpoint, bundle]), (checkpoint, bundle), strict=True):
        assert teacher.provenance() == {"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        assert teacher.card.class_names == CLASSES
        assert teacher.card.preprocessing.mean == pytest.approx(TINY_PREPROCESSING.mean)  # float32 in a bundle
        with torch.no_grad():  # the file keeps 16 bits of each weight
            torch.testing.assert_close(teacher.network.eval()(images), network(images), rtol=0.02, atol=0.02)


def test_weights_that_do_not_say_what_they_are_teach_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_tensors(path, dict(tiny_network().state_dict()), {})
    with pytest.raises(CheckpointError, match="does not say its network and classes, must be a checkpoint of ours"):
        load_teachers([path])


@pytest.mark.parametrize("name", ["none.csrve", "none.safetensors"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=name):
        load_teachers([tmp_path / name])
