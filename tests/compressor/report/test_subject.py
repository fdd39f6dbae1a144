"""What is collected about a bundle from its file and its run folder."""

import json
from pathlib import Path

import numpy as np
import torch

from compressor.bundling import bundle_of
from compressor.networks.card import save_network
from compressor.report.subject import subject_of
from compressor.sharing.network import share_network
from compressor.sharing.recipe import ShareRecipe
from compressor.training.files import save_tensors
from model_store.bundle import encode_bundle
from tests.compressor.blobs import TINY_CARD, tiny_network

LAYERS = ["conv1", "conv2", "linear"]
STAGES = {"share": 0.7, "decoded": 0.72, "dense": 0.8, "prune-2": 0.74, "prune-1": 0.75}


def tiny_data(**provenance: object) -> bytes:
    network = tiny_network()
    share_network(network, ShareRecipe((("*", 8),)), 0)
    return encode_bundle(bundle_of(network, TINY_CARD, provenance))


def run_folder(folder: Path) -> Path:
    """As a run leaves it: two stages, one of them half done, and a note of where the dense network is."""
    folder.mkdir()
    network = tiny_network()
    save_network(folder.parent / "dense.safetensors", network, TINY_CARD)
    (folder / "experiment.json").write_text(json.dumps({"dense": str(folder.parent / "dense.safetensors")}))
    network.conv2.weight.data[2:] = 0
    save_tensors(folder / "prune.safetensors", dict(network.state_dict()), {"holdout_accuracy": 0.5})
    share_network(network, ShareRecipe((("*", 8),)), 0)
    save_tensors(folder / "share.safetensors", dict(network.state_dict()), {"holdout_accuracy": 0.5})
    save_tensors(folder / "centroids.train.safetensors", {"network.x": torch.ones(1)}, {})
    return folder


def test_a_bundle_alone_has_its_decoded_weights() -> None:
    subject = subject_of("tiny", tiny_data(accuracy=0.71, stages=STAGES))
    assert list(subject.stages) == ["decoded"]
    assert list(subject.stages["decoded"]) == LAYERS == list(subject.shared_layers())
    assert subject.accuracy == 0.71
    assert list(subject.accuracies) == ["dense", "prune-1", "prune-2", "share", "decoded"]


def test_a_run_folder_adds_the_stages_it_has_in_the_order_of_the_pipeline(tmp_path: Path) -> None:
    subject = subject_of("tiny", tiny_data(), run_folder(tmp_path / "run"))
    assert list(subject.stages) == ["dense", "prune", "share", "decoded"]
    assert np.array_equal(subject.stages["dense"]["conv2"], tiny_network().conv2.weight.detach().numpy())
    assert not subject.stages["prune"]["conv2"][2:].any()
    assert (subject.accuracy, subject.accuracies) == (None, {})


def test_dense_weights_that_are_given_stand_for_those_noted(tmp_path: Path) -> None:
    save_network(tmp_path / "other.safetensors", tiny_network(seed=8), TINY_CARD)
    subject = subject_of("tiny", tiny_data(), run_folder(tmp_path / "run"), tmp_path / "other.safetensors")
    assert np.array_equal(subject.stages["dense"]["conv1"], tiny_network(seed=8).conv1.weight.detach().numpy())


def test_weights_of_another_network_are_left_out(tmp_path: Path) -> None:
    save_tensors(tmp_path / "foreign.safetensors", {"conv1.weight": torch.ones(2, 1, 3, 3)}, {})
    assert list(subject_of("tiny", tiny_data(), None, tmp_path / "foreign.safetensors").stages) == ["decoded"]


def test_the_streams_of_all_layers_are_the_indices_and_values_of_the_file() -> None:
    from model_store.accounting import account

    subject = subject_of("tiny", tiny_data())
    kinds = account(subject.data).by_kind()
    sums = [sum(sizes) for sizes in zip(*subject.stream_bytes().values(), strict=True)]
    assert sums == [kinds.get("indices", 0), kinds["values"]]
