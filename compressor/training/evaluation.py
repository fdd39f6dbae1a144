"""Accuracy of a network on an image set."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from compressor.data.images import ImageSet
from model_store.preprocessing import Preprocessing

CPU_BATCH = 64  # activations of more leave the caches: ResNet-18 is a quarter slower at 250, ResNet-20 at 1000
ACCELERATOR_BATCH = 500


def evaluation_batch(device: torch.device) -> int:
    """How many pictures a network best answers at a time."""
    return CPU_BATCH if device.type == "cpu" else ACCELERATOR_BATCH


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 [batch, channels, height, width] to normalised float32 of the same shape."""
    mean = torch.tensor(preprocessing.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(preprocessing.std, device=pixels.device)[:, None, None]
    return (pixels.float() / 255 - mean) / std


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network as it answers; afterwards it is in the mode that it was in before."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@torch.no_grad()
def logits_of(network: nn.Module, images: ImageSet, preprocessing: Preprocessing) -> Tensor:
    """Logits float32 [count, classes] of every picture, in order, on the CPU."""
    device = next(network.parameters()).device
    batches = images.pixels.split(evaluation_batch(device))
    with evaluating(network):
        return torch.cat([network(normalise(batch.to(device), preprocessing)).float().cpu() for batch in batches])


def accuracy_of(network: nn.Module, images: ImageSet, preprocessing: Preprocessing) -> float:
    """Share (0..1) of the pictures whose highest logit is their label."""
    predicted = logits_of(network, images, preprocessing).argmax(1)
    return float((predicted == images.labels).double().mean())
