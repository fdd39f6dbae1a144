"""`evaluate`: the accuracy of a bundle, or of weights, on the test pictures."""

import argparse
from pathlib import Path

import torch

from compressor.bundling import oracle_of
from compressor.commands.options import DATA_HELP, add_device, add_store, choose_device
from compressor.commands.sources import (
    add_network,
    is_bundle,
    load_network,
    load_test_images,
    network_shape,
    read_bundle,
)
from compressor.data import load_images
from compressor.training.evaluation import accuracy_of

NAME = "evaluate"
SUMMARY = "Measure a bundle or a weights file on the test pictures."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", help="a bundle (FILE, NAME or NAME:VERSION of --store), or a weights file")
    parser.add_argument("--data", required=True, help=DATA_HELP)
    add_network(parser)
    add_store(parser, required=False)
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Print one line."""
    device = choose_device(options)
    accuracy, count = _of_bundle(options, device) if is_bundle(options.target) else _of_weights(options, device)
    print(f"{options.target}: {accuracy:.2%} of {count} test pictures")


def _of_bundle(options: argparse.Namespace, device: torch.device) -> tuple[float, int]:
    bundle = read_bundle(options.target, options.store)
    shape, progress = bundle.preprocessing.input_shape, not options.quiet
    images = load_test_images(options.data, shape, bundle.class_names, progress=progress)
    return accuracy_of(oracle_of(bundle).to(device), images, bundle.preprocessing), len(images)


def _of_weights(options: argparse.Namespace, device: torch.device) -> tuple[float, int]:
    weights, progress = Path(options.target), not options.quiet
    shape = network_shape(options, weights)
    test = load_images(options.data, "test", shape, progress=progress)
    network, card = load_network(options, weights, test)
    return accuracy_of(network.to(device), test, card.preprocessing), len(test)
