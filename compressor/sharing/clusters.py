"""Which weights share a value: positions and codes, layer by layer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """One layer's assignment.

    Attributes:
        positions: flat positions of the surviving weights, int64 [nonzeros].
        codes: the cluster of each, int64 [nonzeros].
        counts: members of each cluster in this layer, [clusters].
    """

    positions: Tensor
    codes: Tensor
    counts: Tensor


def codebook_groups(network: nn.Module, *, together: bool, skip: Collection[str] = ()) -> list[list[str]]:
    """The names of the weights that have one codebook: all of them, or each its own; without those in `skip`."""
    names = [name for name in prunable_parameters(network) if name not in skip]
    return [names] if together and names else [[name] for name in names]


def clusters_of(weights: Mapping[str, Tensor]) -> dict[str, Clusters]:
    """The clusters of layers whose equal values are one: numbered alike in all of them.

    Args:
        weights: by parameter name, sharing values already; 0 is no value but a pruned weight.
    """
    alive = {name: weight.reshape(-1).nonzero().squeeze(1) for name, weight in weights.items()}
    values = torch.cat([weights[name].reshape(-1)[positions] for name, positions in alive.items()])
    distinct, codes = torch.unique(values, return_inverse=True)
    parts = torch.split(codes, [len(positions) for positions in alive.values()])
    return {
        name: complete_clusters(positions, part, len(distinct))
        for (name, positions), part in zip(alive.items(), parts, strict=True)
    }


def complete_clusters(positions: Tensor, codes: Tensor, count: int) -> Clusters:
    """With the members counted of each of `count` clusters."""
    return Clusters(positions, codes, torch.bincount(codes, minlength=count).double())


def scattered(like: Tensor, clusters: Clusters, values: Tensor) -> Tensor:
    """A tensor shaped as `like`: each member its cluster's value, 0 elsewhere."""
    return placed(like, clusters.positions, values.to(like.dtype)[clusters.codes])


def placed(like: Tensor, positions: Tensor, values: Tensor) -> Tensor:
    """A tensor shaped as `like`: the values at their flat positions, 0 elsewhere."""
    flat = torch.zeros(like.numel(), dtype=like.dtype, device=like.device)
    flat[positions] = values
    return flat.reshape(like.shape)
