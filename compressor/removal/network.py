"""Removal as a whole: purified, silenced, shrunk, and checked against what it was."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from compressor.errors import NetworkError
from compressor.removal.channels import find_classes
from compressor.removal.dead import dead_classes, silence
from compressor.removal.purification import purify
from compressor.removal.recipe import PurifyRecipe
from compressor.removal.shrinking import shrink
from compressor.tracing import trace_network

TOLERANCE = 1e-3  # relative, of logits of a random picture: sums are taken in another order


@dataclass(frozen=True, slots=True)
class Removed:
    """What went: weights by purification; channel classes made silent; filters; parameters in all."""

    purified: int
    silenced: int
    filters: int
    parameters: int


def remove_dead(
    network: nn.Module, input_shape: tuple[int, int, int], purification: PurifyRecipe | None = None
) -> tuple[nn.Module, Removed]:
    """A smaller network that computes what this one does once it was purified and silenced.

    Filters that are all zero and channels that nobody reads are taken out of every layer that has them, as long as
    more follow; a channel of a residual stream goes where it is empty in all that write it, or unread by all that read
    it. The network itself is left as it is.

    Raises:
        NetworkError: it cannot be traced, or its forward only works at its old sizes.
    """
    smaller = copy.deepcopy(network).eval()
    purified = purify(smaller, purification) if purification is not None else 0
    traced = trace_network(smaller, input_shape)
    classes = find_classes(traced.graph, [tensor.shape for tensor in traced.tensors], input_shape)
    silenced = silence(smaller, classes)
    dead = dead_classes(smaller, classes)
    reference = copy.deepcopy(smaller)
    shrink(smaller, classes, dead)
    _check_same(reference, smaller, input_shape)
    filters = sum(int(each in dead) for layer in classes.layers for each in layer.outputs.tolist())
    went = _parameters(network) - _parameters(smaller)
    return smaller.train(network.training), Removed(purified, silenced, filters, went)


@torch.no_grad()
def _check_same(before: nn.Module, after: nn.Module, input_shape: tuple[int, int, int]) -> None:
    device = next(before.parameters()).device
    pictures = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0)).to(device)
    expected = before(pictures)
    try:
        found = after(pictures)
    except RuntimeError as error:
        raise NetworkError(f"removal: the network's forward needs its old sizes ({error})") from error
    worst = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not worst < TOLERANCE:
        raise NetworkError(f"removal: logits differ by {worst:.1e} of the largest, must be below {TOLERANCE}")


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
