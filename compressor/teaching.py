"""Networks that teach the one that is compressed, from checkpoints of ours or bundles."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from compressor.bundling import oracle_of
from compressor.errors import CheckpointError
from compressor.networks import build_network
from compressor.networks.card import NetworkCard, card_of
from compressor.networks.weights import apply_weights, load_weights
from compressor.training.teachers import Teacher
from model_store.bundle import decode_bundle

BUNDLE_SUFFIX = ".csrve"


def load_teachers(paths: Sequence[Path]) -> tuple[Teacher, ...]:
    """The networks in these files.

    Raises:
        CheckpointError: a file cannot be read, or does not say which network, pictures and classes it is for.
        BundleError: it is a damaged bundle.
    """
    return tuple(load_teacher(path) for path in paths)


def load_teacher(path: Path) -> Teacher:
    """The network in this file; errors as for `load_teachers`."""
    if path.suffix == BUNDLE_SUFFIX:
        bundle = decode_bundle(_bytes(path))
        card = NetworkCard(bundle.architecture, bundle.preprocessing, bundle.class_names)
        return Teacher(oracle_of(bundle), card, str(path), _sha256(path))
    tensors, metadata = load_weights(path)
    card_there = card_of(metadata, str(path))
    if card_there is None:
        raise CheckpointError(f"{path}: does not say its network and classes, must be a checkpoint of ours or a bundle")
    network = build_network(card_there.network, len(card_there.class_names))
    apply_weights(network, tensors, str(path))
    return Teacher(network, card_there, str(path), _sha256(path))


def _sha256(path: Path) -> str:
    return hashlib.sha256(_bytes(path)).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
