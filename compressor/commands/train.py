"""`train`: a dense network, from scratch or from weights, resumable to the epoch."""

import argparse
import dataclasses
from pathlib import Path

from compressor.commands.options import (
    DATA_HELP,
    add_device,
    add_training,
    augmentation_of,
    changed_training,
    choose_device,
)
from compressor.commands.sources import add_network, choose_preprocessing, load_test_images
from compressor.data import ImageSet, load_images
from compressor.dense import DenseTraining
from compressor.errors import CompressorError
from compressor.holdout import BEGAN_WITH, warning_of
from compressor.networks import input_shape_of
from compressor.networks.card import card_of
from compressor.networks.weights import load_weights
from compressor.training.recipe import TrainRecipe

NAME = "train"
SUMMARY = "Train a dense network; the same command after a kill goes on."


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
    images = load_images(options.data, "train", shape, progress=not options.quiet)
    recipe = TrainRecipe(augmentation=augmentation_of(shape[0]))
    if options.weights is not None:
        recipe = _split_as_before(recipe, options.weights, images)
    recipe = changed_training(recipe, options)
    training = DenseTraining(
        options.network,
        recipe,
        choose_preprocessing(options, None, shape, images),
        options.output,
        device,
        options.weights,
        progress=not options.quiet,
    )
    card = training.run(
        images, lambda: load_test_images(options.data, shape, images.class_names, progress=not options.quiet)
    )
    doubt = card.training.get(BEGAN_WITH, {}).get("holdout_doubt")
    if doubt is not None:
        print(warning_of(doubt))
    holdout, test = card.training["holdout_accuracy"], card.training["test_accuracy"]
    print(f"{training.result}: {card.network}, holdout {holdout:.2%}, test {test:.2%}")


def _split_as_before(recipe: TrainRecipe, weights: Path, images: ImageSet) -> TrainRecipe:
    """With the holdout that the weights' own training set aside, where it was of these pictures."""
    card = card_of(load_weights(weights)[1], str(weights))
    if card is None or card.training.get("data") != images.digest:
        return recipe
    before = card.training.get("recipe", {})
    return dataclasses.replace(recipe, **{name: before[name] for name in ("holdout", "seed") if name in before})
