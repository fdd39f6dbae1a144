"""Train shared weights one by one: each has a latent weight behind it, and changes its cluster as that moves."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.sharing.clusters import clusters_of, codebook_groups, placed

CHUNK = 1 << 22  # distances that are compared at once


@dataclass(slots=True, eq=False)
class _Codebook:
    """The weights that have one codebook, whatever layers they are of.

    Attributes:
        positions: of each layer by name, flat, int64.
        latent: float32 [nonzeros], the layers in order.
        codes: the cluster of each, int64 [nonzeros].
        clusters: how many there were at the beginning.
    """

    positions: dict[str, Tensor]
    latent: Tensor
    codes: Tensor
    clusters: int

    def taken(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The members' elements of these tensors, [nonzeros]."""
        return torch.cat([tensors[name].reshape(-1)[positions] for name, positions in self.positions.items()])

    def put(self, tensors: Mapping[str, Tensor], values: Tensor) -> None:
        """Give each member its value, and 0 to all others."""
        parts = torch.split(values, [len(positions) for positions in self.positions.values()])
        for (name, positions), part in zip(self.positions.items(), parts, strict=True):
            tensors[name].copy_(placed(tensors[name], positions, part))

    def means(self, values: Tensor, codes: Tensor) -> Tensor:
        """The mean of each cluster's members, float64 [clusters]; NaN where it has none."""
        sums = torch.bincount(codes, weights=values.double(), minlength=self.clusters)
        return sums / torch.bincount(codes, minlength=self.clusters)

    def valued(self, values: Tensor, codes: Tensor) -> Tensor:
        """The mean of its cluster for each of these values, of their kind."""
        return self.means(values, codes)[codes].to(values.dtype)

    def assigned(self, values: Tensor, penalty: float) -> Tensor:
        """The cheapest cluster of each value, int64: argmin (v - c)^2 + penalty * mean square * bits(c).

        Centroids and the lengths of their codes are those of the latent weights' present assignment.
        """
        if not len(values):  # a layer that is pruned whole
            return self.codes
        share = torch.bincount(self.codes, minlength=self.clusters) / len(self.codes)
        scale = penalty * self.latent.square().mean()
        costs = torch.where(share > 0, -torch.log2(share) * scale, torch.inf)
        centroids = self.means(self.latent, self.codes).nan_to_num().float()
        parts = torch.split(values, max(1, CHUNK // self.clusters))
        return torch.cat([((part[:, None] - centroids).square() + costs).argmin(1) for part in parts])


class LatentWeights:
    """A training constraint: the network always holds shared values, the optimiser moves a latent weight behind each.

    The gradient at a shared value counts for the latent weight as it is (the straight-through estimator, Bengio et al.
    2013). After every step each latent weight takes the cluster that is cheapest for it: the nearest, or with a penalty
    the one that costs least error and code length together (entropy-constrained scalar quantization, Chou, Lookabaugh
    and Gray 1989); a cluster's value is the mean of its latent weights. Clusters that lose all members are gone, pruned
    weights stay zero.

    The network's weights must share values already; the latent ones begin there.

    Args:
        entropy_penalty: squared error, relative to the mean square, that a bit of code may cost; 0: nearest.
        together: one codebook for the network, not one for each layer.
    """

    def __init__(self, network: nn.Module, entropy_penalty: float, *, together: bool = False) -> None:
        self.entropy_penalty = entropy_penalty
        weights = {name: weight.detach() for name, weight in prunable_parameters(network).items()}
        groups = codebook_groups(network, together=together)
        self._books = [_codebook_of({name: weights[name] for name in group}) for group in groups]

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        weights = prunable_parameters(network)
        gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
        for book in self._books:
            book.put(weights, book.latent)
            if gradients.keys() >= book.positions.keys():
                book.put(gradients, book.taken(gradients))

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        weights = prunable_parameters(network)
        for book in self._books:
            book.latent = book.taken(weights)
            book.codes = book.assigned(book.latent, self.entropy_penalty)
            book.put(weights, book.valued(book.latent, book.codes))

    @torch.no_grad()
    def project(self, tensors: dict[str, Tensor]) -> None:
        for book in self._books:
            values = book.taken(tensors)
            book.put(tensors, book.valued(values, book.assigned(values, self.entropy_penalty)))

    def state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for number, book in enumerate(self._books):
            state |= {f"{number}.latent": book.latent, f"{number}.codes": book.codes}
            state |= {f"{number}.positions.{name}": positions for name, positions in book.positions.items()}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        for number, book in enumerate(self._books):
            device = book.latent.device
            book.latent, book.codes = (state[f"{number}.{field}"].to(device) for field in ("latent", "codes"))
            book.positions = {name: state[f"{number}.positions.{name}"].to(device) for name in book.positions}


def _codebook_of(weights: Mapping[str, Tensor]) -> _Codebook:
    clusters = clusters_of(weights)
    positions = {name: each.positions for name, each in clusters.items()}
    latent = torch.cat([weights[name].reshape(-1)[each] for name, each in positions.items()])
    codes = torch.cat([each.codes for each in clusters.values()])
    count = max(len(each.counts) for each in clusters.values())
    return _Codebook(positions, latent, codes, count)
