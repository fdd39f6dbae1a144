"""Network purification (Ma et al. 2019, arXiv 1905.00136, algorithm 1): what pruning left nearly empty goes."""

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.removal.recipe import PurifyRecipe


@torch.no_grad()
def purify(network: nn.Module, recipe: PurifyRecipe) -> int:
    """Zero weak columns, channels that are empty enough and weigh little, weak filters; returns how many weights.

    A channel that is zeroed in all its readers, and a filter that is zeroed, is what removal then takes out on both
    sides. The first and the last layer stay as they are.
    """
    weights = list(prunable_parameters(network).values())
    inner = [weight for weight in weights[1:-1] if weight.ndim == 4]
    before = sum(int(weight.count_nonzero()) for weight in inner)
    for weight in inner:
        _purify_layer(weight, recipe)
    return before - sum(int(weight.count_nonzero()) for weight in inner)


def _purify_layer(weight: Tensor, recipe: PurifyRecipe) -> None:
    columns = weight.square().sum(0).flatten(1)  # squared norm of each column, [inputs, taps]
    weak = columns < recipe.column**2
    weight.mul_(~weak.reshape(weight.shape[1:]))
    columns = columns * ~weak
    emptiness = weak.float().mean(1)  # eta: share of a channel's columns that are empty
    importance = columns.mean(1)  # sigma
    empty = (emptiness > recipe.emptiness) & (importance < recipe.channel**2)
    weight.mul_(~empty[None, :, None, None])
    filters = weight.flatten(1).norm(dim=1)
    weight.mul_(~(filters < recipe.filter)[:, None, None, None])
