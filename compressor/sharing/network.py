"""Share the weights of a whole network, layer by layer or all together."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.sharing.codebooks import fit_codebook, share, shared_values
from compressor.sharing.recipe import ShareRecipe


@torch.no_grad()
def share_network(network: nn.Module, recipe: ShareRecipe, seed: int, skip: Collection[str] = ()) -> None:
    """Replace every non-zero weight of convolutions and linear layers by a codebook's value, in place.

    Args:
        skip: names of weights that stay as they are.
    """
    everything = prunable_parameters(network)
    weights = {name: weight for name, weight in everything.items() if name not in skip}
    if not weights:
        return
    if recipe.codebooks == "network":
        _share_together(list(weights.values()), recipe, seed)
        return
    sizes = resolve_rules(recipe.codebook_sizes, [layer_of(name) for name in everything])
    for name, weight in weights.items():
        dense = _dense(weight)
        codebook = fit_codebook(dense, int(sizes[layer_of(name)]), recipe.initialisation, seed)
        shared = share(dense, codebook, recipe.entropy_penalty).to_dense()
        weight.copy_(torch.from_numpy(shared))


def _share_together(weights: Sequence[nn.Parameter], recipe: ShareRecipe, seed: int) -> None:
    """One codebook for all: k-means and the entropy constraint see every weight of the network, large layers most."""
    dense = [_dense(weight) for weight in weights]
    alive = np.concatenate([each[each != 0] for each in dense])
    codebook = fit_codebook(alive, int(recipe.codebook_sizes[0][1]), recipe.initialisation, seed)
    values = shared_values(alive, codebook, recipe.entropy_penalty)
    parts = np.split(values, np.cumsum([np.count_nonzero(each) for each in dense])[:-1])
    for weight, each, part in zip(weights, dense, parts, strict=True):
        each[each != 0] = part
        weight.copy_(torch.from_numpy(each))


def _dense(weight: Tensor) -> np.ndarray:
    dense: np.ndarray = weight.detach().cpu().contiguous().numpy().astype(np.float32)
    return dense
