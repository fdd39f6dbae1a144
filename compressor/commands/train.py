"""`train`: a dense network, from scratch or from weights, resumable to the epoch."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch

from compressor.commands.options import (
    DATA_HELP,
    add_device,
    add_training,
    augmentation_of,
    changed_training,
    choose_device,
)
from compressor.commands.sources import add_network, choose_preprocessing, load_test_images
from compressor.data import ImageSet, load_images, split_images
from compressor.errors import CompressorError
from compressor.networks import build_network, input_shape_of
from compressor.networks.card import NetworkCard, card_of, save_network
from compressor.networks.weights import apply_weights, load_weights
from compressor.record import surroundings
from compressor.training.evaluation import accuracy_of
from compressor.training.recipe import TrainRecipe
from compressor.training.trainer import Trainer
from model_store.preprocessing import Preprocessing

NAME = "train"
SUMMARY = "Train a dense network; the same command after a kill goes on."
CHECKPOINT, RESULT = "train.safetensors", "network.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--output", required=True, type=Path, help="the folder of the run")
    parser.add_argument("--weights", type=Path, help="what to start from")
    add_training(parser)
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Train, keep the moving average in OUTPUT/network.safetensors, and measure it once on the test pictures."""
    if options.network is None:
        raise CompressorError("--network: must be given")
    device, shape = choose_device(options), input_shape_of(options.network)
    recipe = changed_training(TrainRecipe(augmentation=augmentation_of(shape[0])), options)
    images = load_images(options.data, "train", shape, progress=not options.quiet)
    preprocessing = choose_preprocessing(options, None, shape, images)
    trainer = _trainer(options, recipe, preprocessing, len(images.class_names), device)
    result = options.output / RESULT
    if trainer.epoch == recipe.epochs and result.exists():
        _report(result, card_of(load_weights(result)[1], str(result)))
        return
    network = trainer.fit(*split_images(images, recipe.holdout, recipe.seed))
    test = load_test_images(options.data, shape, images.class_names, progress=not options.quiet)
    training = _training(trainer, images, accuracy_of(network, test, preprocessing))
    card = NetworkCard(options.network, preprocessing, images.class_names, training)
    save_network(result, network, card)
    _report(result, card)


def _trainer(
    options: argparse.Namespace, recipe: TrainRecipe, preprocessing: Preprocessing, classes: int, device: torch.device
) -> Trainer:
    torch.manual_seed(recipe.seed)  # before the weights are drawn
    network = build_network(options.network, classes)
    if options.weights is not None:
        apply_weights(network, load_weights(options.weights)[0], str(options.weights))
    return Trainer(
        network.to(device),
        preprocessing,
        recipe,
        name=options.network,
        checkpoint=options.output / CHECKPOINT,
        progress=not options.quiet,
    )


def _training(trainer: Trainer, images: ImageSet, test_accuracy: float) -> dict[str, Any]:
    return {
        "recipe": dataclasses.asdict(trainer.recipe),
        "data": images.digest,
        "holdout_accuracy": trainer.history[-1]["holdout_accuracy"],
        "test_accuracy": test_accuracy,
        **surroundings(),
    }


def _report(path: Path, card: NetworkCard | None) -> None:
    if card is not None:
        holdout, test = card.training["holdout_accuracy"], card.training["test_accuracy"]
        print(f"{path}: {card.network}, holdout {holdout:.2%}, test {test:.2%}")
