"""`train`: a dense network, from scratch or from weights, resumable to the epoch."""

import argparse
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
from compressor.data import load_images
from compressor.dense import DenseTraining
from compressor.errors import CompressorError
from compressor.networks import input_shape_of
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
    recipe = changed_training(TrainRecipe(augmentation=augmentation_of(shape[0])), options)
    images = load_images(options.data, "train", shape, progress=not options.quiet)
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
    holdout, test = card.training["holdout_accuracy"], card.training["test_accuracy"]
    print(f"{training.result}: {card.network}, holdout {holdout:.2%}, test {test:.2%}")
