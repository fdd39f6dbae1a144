import re
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.errors import CheckpointError, NetworkError
from compressor.networks import build_network
from compressor.networks.card import NetworkCard, card_of, load_network, save_network
from compressor.training.files import load_tensors
from model_store.preprocessing import Preprocessing
from tests.compressor.toys import exactly, toy_net

CARD = NetworkCard(
    "lenet300",
    Preprocessing(28, 28, (0.1307,), (0.3081,)),
    ("zero", "one"),
    {"recipe": {"epochs": 3}, "test_accuracy": 0.98},
)


def test_a_card_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, toy_net(), CARD)
    tensors, metadata = load_tensors(path)
    assert card_of(metadata, str(path)) == CARD
    assert all(torch.equal(tensors[name], value) for name, value in toy_net().state_dict().items())


def test_a_network_is_loaded_with_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    saved = build_network("lenet300", 2)
    save_network(path, saved, CARD)
    loaded = load_network(path, "lenet300", 2)
    assert all(torch.equal(value, saved.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_network_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, build_network("lenet300", 2), CARD)
    problem = "of another shape: ip3.weight (2, 100), must be (5, 100), ip3.bias (2,), must be (5,)"
    with pytest.raises(CheckpointError, match=exactly(f"{path}: does not fit the network; {problem}")):
        load_network(path, "lenet300", 5)
    with pytest.raises(NetworkError, match=r"\A--network lenet: unknown"):
        load_network(path, "lenet", 2)


def test_a_file_of_another_program_has_no_card() -> None:
    assert card_of({}, "weights.safetensors") is None


def change(*path: str, to: Any) -> dict[str, Any]:
    """The card's metadata with one field changed, or taken away where `to` is None."""
    metadata = {"card": {**CARD.to_metadata()["card"]}}
    metadata["card"]["preprocessing"] = dict(metadata["card"]["preprocessing"])
    inner: dict[str, Any] = metadata["card"]
    for name in path[:-1]:
        inner = inner[name]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {"card": 5},
        {"card": "text"},
        {"card": []},
        change("network", to=None),
        change("class_names", to=5),
        change("training", to=5),
        change("training", to={"recipe": None}),
        change("training", to={"recipe": []}),
        change("training", to={"recipe": "thirty epochs"}),
        change("training", to={"recipe": {"seed": True}}),
        change("training", to={"recipe": {}, "began_with": None}),
        change("training", to={"recipe": {"seed": "0"}}),
        change("training", to={"recipe": {"holdout": 0.5, "seed": 0}}),
        change("preprocessing", to=5),
        change("preprocessing", "height", to=0),
        change("preprocessing", "width", to="wide"),
        change("preprocessing", "std", to=(0.0,)),
        change("preprocessing", "mean", to=None),
    ],
)
def test_a_damaged_card_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=re.escape("weights.safetensors: its metadata is damaged (")):
        card_of(metadata, "weights.safetensors")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"recipe": None}, "training: recipe = None, must be an object"),
        ({"recipe": {}, "began_with": "w"}, "training: began_with = 'w', must be an object"),
        ({"recipe": {"seed": "0"}}, "training: recipe: seed = '0', must be a whole number"),
        ({"recipe": {"seed": 0, "holdout": 0.5}}, "training: recipe: holdout = 0.5, must be a whole number"),
    ],
)
def test_a_card_says_which_part_of_its_training_is_damaged(training: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        card_of(change("training", to=training), "weights.safetensors")
    assert str(caught.value) == f"weights.safetensors: its metadata is damaged ({message})"
