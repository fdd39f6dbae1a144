"""Where commands get networks, pictures and bundles from."""

import argparse
from pathlib import Path

from torch import nn

from compressor.data import ImageSet, load_images, preprocessing_of
from compressor.errors import CheckpointError, CompressorError, DataError
from compressor.networks import build_network, input_shape_of
from compressor.networks.card import NetworkCard, card_of
from compressor.networks.weights import apply_weights, load_weights
from model_store.bundle import Bundle, decode_bundle
from model_store.errors import BundleError
from model_store.limits import MAX_BUNDLE_BYTES
from model_store.names import check_version
from model_store.opening import open_store
from model_store.preprocessing import Preprocessing

BUNDLE_SUFFIX = ".csrve"
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin")


def add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", help="a name such as resnet20, or module:callable (default: what the weights say)")
    parser.add_argument("--mean", help="of each channel, of 0..1 (default: what the weights say, or the data)")
    parser.add_argument("--std", help="likewise")


def load_network(options: argparse.Namespace, weights: Path, images: ImageSet) -> tuple[nn.Module, NetworkCard]:
    """The network with its weights, and its card: from the command line, else the file, else the data.

    Args:
        images: the training pictures, for class names and statistics.

    Raises:
        CompressorError: something is missing or does not fit.
    """
    tensors, metadata = load_weights(weights)
    card = card_of(metadata, str(weights))
    name = options.network or (card.network if card else None)
    if name is None:
        raise CompressorError(f"{weights} does not say which network it is for; give --network")
    if card is not None and card.class_names != images.class_names:
        raise DataError(f"{weights} knows the classes {card.class_names}, the data has {images.class_names}")
    preprocessing = choose_preprocessing(options, card.preprocessing if card else None, input_shape_of(name), images)
    network = build_network(name, len(images.class_names))
    apply_weights(network, tensors, str(weights))
    return network, NetworkCard(name, preprocessing, images.class_names, card.training if card else {})


def network_shape(options: argparse.Namespace, weights: Path) -> tuple[int, int, int]:
    """(channels, height, width) of the network that is about to be loaded."""
    card = card_of(load_weights(weights)[1], str(weights))
    if options.network:
        return input_shape_of(options.network)
    if card is None:
        raise CompressorError(f"{weights} does not say which network it is for; give --network")
    return card.preprocessing.input_shape


def choose_preprocessing(
    options: argparse.Namespace, known: Preprocessing | None, shape: tuple[int, int, int], images: ImageSet
) -> Preprocessing:
    """--mean and --std, else what is known, else the statistics of the pictures."""
    if (options.mean is None) != (options.std is None):
        raise CompressorError("--mean and --std must be given together")
    if options.mean is not None:
        mean, std = (_numbers(name, getattr(options, name), shape[0]) for name in ("mean", "std"))
    elif known is not None:
        return known
    else:
        return preprocessing_of(images)
    return Preprocessing(shape[1], shape[2], mean, std)


def _numbers(name: str, text: str, channels: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise CompressorError(f"--{name} {text}: must be numbers with commas between") from error
    if len(numbers) != channels:
        raise CompressorError(f"--{name} {text}: {len(numbers)} numbers, must be one for each of {channels} channels")
    return numbers


def is_bundle(target: str) -> bool:
    """Whether a target names a bundle: a .csrve file, or a model of a store; else it is a weights file."""
    return not target.endswith(WEIGHTS_SUFFIXES)


def read_bundle(target: str, store: str | Path | None) -> Bundle:
    """Decode a bundle by FILE, NAME or NAME:VERSION.

    Raises:
        CompressorError: it cannot be read. StoreError: it is not in the store, or not a bundle.
    """
    return decode_bundle(bundle_data(target, store))


def bundle_data(target: str, store: str | Path | None) -> bytes:
    """The bytes of a bundle by FILE, NAME or NAME:VERSION.

    Raises:
        CompressorError: it cannot be read. StoreError: it is not in the store.
    """
    if target.endswith(BUNDLE_SUFFIX) or "/" in target:
        return _read_file(Path(target))
    if store is None:
        raise CompressorError(f"{target}: to read it from a store give --store")
    name, colon, version = target.partition(":")
    return open_store(store).read(name, check_version(version) if colon else None).data


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path}: {path.stat().st_size} bytes, must be <= {MAX_BUNDLE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def load_test_images(data: str, shape: tuple[int, int, int], names: tuple[str, ...], *, progress: bool) -> ImageSet:
    """The test pictures, in the classes the network was trained on.

    Raises:
        DataError: they cannot be read or have other classes.
    """
    images = load_images(data, "test", shape, progress=progress)
    if images.class_names != names:
        raise DataError(f"--data {data}: test has the classes {images.class_names}, must be {names}")
    return images
