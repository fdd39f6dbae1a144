"""Train a dense network into a folder: what `train` and every experiment begin with."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.data import ImageSet, split_images
from compressor.errors import CheckpointError
from compressor.holdout import BEGAN_WITH, holdout_doubt
from compressor.networks import build_network
from compressor.networks.card import NetworkCard, card_of, save_network
from compressor.networks.weights import apply_weights, load_weights, weights_digest
from compressor.record import surroundings
from compressor.stages import RunFolder, fingerprint_of
from compressor.training.evaluation import accuracy_of
from compressor.training.processes import first_before_others, is_first, wait_for_all
from compressor.training.recipe import TrainRecipe
from compressor.training.trainer import Trainer
from model_store.preprocessing import Preprocessing

CHECKPOINT, RESULT, STAGE = "train.safetensors", "network.safetensors", "train"


@dataclass(frozen=True, slots=True, eq=False)
class DenseTraining:
    """One dense training, resumable to the epoch.

    Attributes:
        network: a name that `build_network` knows.
        weights: what to start from; None draws them from the recipe's seed.
    """

    network: str
    recipe: TrainRecipe
    preprocessing: Preprocessing
    folder: Path
    device: torch.device
    weights: Path | None = None
    progress: bool = True

    @property
    def result(self) -> Path:
        return self.folder / RESULT

    def run(self, images: ImageSet, load_test: Callable[[], ImageSet]) -> NetworkCard:
        """Train what is not trained yet, keep the moving average in `result`, and measure it once on the test pictures.

        Raises:
            CompressorError: the folder holds another training, or what training refuses.
        """
        folder = RunFolder(self.folder)
        network = self._started(len(images.class_names))
        folder.claim(STAGE, self._fingerprint(network, images))
        trainer = self._trainer(network)
        finished = trainer.epoch == self.recipe.epochs and self.result.exists()
        wait_for_all()  # before the first process goes on and writes it
        if finished:
            return self._finished()
        with folder.timed(STAGE):
            network = trainer.fit(*split_images(images, self.recipe.holdout, self.recipe.seed))
        with first_before_others():
            if not is_first():
                return self._finished()
            return self._measured(network, trainer, images, load_test())

    def _measured(self, network: nn.Module, trainer: Trainer, images: ImageSet, test: ImageSet) -> NetworkCard:
        accuracy = accuracy_of(network, test, self.preprocessing)
        training: dict[str, Any] = {
            "recipe": dataclasses.asdict(self.recipe),
            "data": images.digest,
            **self._began_with(images),
            "holdout_accuracy": trainer.history[-1]["holdout_accuracy"],
            "test_accuracy": accuracy,
            "minutes": RunFolder(self.folder).minutes()[STAGE],
            **surroundings(),
        }
        card = NetworkCard(self.network, self.preprocessing, images.class_names, training)
        save_network(self.result, network, card)
        return card

    def _began_with(self, images: ImageSet) -> dict[str, Any]:
        """What is known of the weights that it started from, for the card."""
        if self.weights is None:
            return {}
        card = card_of(load_weights(self.weights)[1], str(self.weights))
        training = card.training if card is not None else {}
        doubt = holdout_doubt(training, images.digest, self.recipe.holdout, self.recipe.seed)
        return {BEGAN_WITH: {"file": str(self.weights), "holdout_doubt": doubt}}

    def _started(self, classes: int) -> nn.Module:
        torch.manual_seed(self.recipe.seed)  # before the weights are drawn
        network = build_network(self.network, classes)
        if self.weights is not None:
            apply_weights(network, load_weights(self.weights)[0], str(self.weights))
        return network

    def _fingerprint(self, network: nn.Module, images: ImageSet) -> str:
        """Of all that the result depends on; weights that the seed draws are named by it."""
        inputs = {
            "network": self.network,
            "weights": weights_digest(network) if self.weights is not None else None,
            "recipe": dataclasses.asdict(self.recipe),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "data": images.digest,
        }
        return fingerprint_of(inputs)

    def _trainer(self, network: nn.Module) -> Trainer:
        return Trainer(
            network.to(self.device),
            self.preprocessing,
            self.recipe,
            name=self.network,
            checkpoint=self.folder / CHECKPOINT,
            progress=self.progress,
        )

    def _finished(self) -> NetworkCard:
        card = card_of(load_weights(self.result)[1], str(self.result))
        if card is None:
            raise CheckpointError(f"{self.result}: not the result of a training, has no card")
        return card
