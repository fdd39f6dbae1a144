"""What a checkpoint of ours says about its network, so that no command line need repeat it."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from compressor.errors import CheckpointError
from compressor.holdout import BEGAN_WITH
from compressor.networks.registry import build_network
from compressor.networks.weights import apply_weights, load_weights
from compressor.training.files import save_tensors
from model_store.errors import BundleError
from model_store.preprocessing import Preprocessing

SPLIT = ("holdout", "seed")  # of a training's recipe: what it set aside


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """Name, preprocessing and classes of a network, and how it came to be.

    Attributes:
        network: a key of `NETWORKS` or `module:callable`.
        training: recipe, data and accuracies, JSON values; {} where the weights came from elsewhere.
    """

    network: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    training: dict[str, Any] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, Any]:
        return {"card": dataclasses.asdict(self)}


def card_of(metadata: dict[str, Any], source: str) -> NetworkCard | None:
    """The card in a file's metadata; None where there is none.

    Raises:
        CheckpointError: it is there and broken.
    """
    card = metadata.get("card")
    if card is None:
        return None
    try:
        statistics = card["preprocessing"]
        mean, std = (tuple(float(value) for value in statistics[name]) for name in ("mean", "std"))
        preprocessing = Preprocessing(int(statistics["height"]), int(statistics["width"]), mean, std)
        training = _training_of(dict(card["training"]), source)
        return NetworkCard(str(card["network"]), preprocessing, tuple(card["class_names"]), training)
    except (KeyError, TypeError, ValueError, BundleError) as error:
        raise CheckpointError(f"{source}: its metadata is damaged ({error!r})") from error


def _training_of(training: dict[str, Any], source: str) -> dict[str, Any]:
    """The same, where those parts of it that others read are of their kind."""
    damaged = f"{source}: its metadata is damaged (training:"
    for name in ("recipe", BEGAN_WITH):
        if not isinstance(training.get(name, {}), dict):
            raise CheckpointError(f"{damaged} {name} = {training[name]!r}, must be an object)")
    recipe = training.get("recipe", {})
    for name in SPLIT:
        if type(recipe.get(name, 0)) is not int:
            raise CheckpointError(f"{damaged} recipe: {name} = {recipe[name]!r}, must be a whole number)")
    return training


def save_network(path: Path, network: nn.Module, card: NetworkCard) -> None:
    """Write weights and card into one safetensors file, atomically."""
    save_tensors(path, dict(network.state_dict()), card.to_metadata())


def load_network(path: Path, name: str, classes: int) -> nn.Module:
    """Build the network `name` with the weights of a file.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
        NetworkError: the name is unknown.
    """
    network = build_network(name, classes)
    weights, _ = load_weights(path)
    apply_weights(network, weights, str(path))
    return network
