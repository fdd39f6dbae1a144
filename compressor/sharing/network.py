"""Share the weights of a whole network, layer by layer."""

import numpy as np
import torch
from torch import nn

from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.sharing.codebooks import fit_codebook, share
from compressor.sharing.recipe import ShareRecipe


@torch.no_grad()
def share_network(network: nn.Module, recipe: ShareRecipe, seed: int) -> None:
    """Replace every non-zero convolution and linear weight by its layer's codebook value, in place."""
    weights = prunable_parameters(network)
    sizes = resolve_rules(recipe.codebook_sizes, [layer_of(name) for name in weights])
    for name, weight in weights.items():
        dense = weight.detach().cpu().contiguous().numpy().astype(np.float32)
        codebook = fit_codebook(dense, int(sizes[layer_of(name)]), recipe.initialisation, seed)
        shared = share(dense, codebook, recipe.entropy_penalty).to_dense()
        weight.copy_(torch.from_numpy(shared))
