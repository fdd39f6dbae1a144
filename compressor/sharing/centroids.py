"""Train the centroids: weights that share a value move as one (Han et al. 2016, section 3.3)."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters
from compressor.sharing.clusters import Clusters, clusters_of, codebook_groups, complete_clusters, scattered

GRADIENTS = ("sum", "layer-sum", "mean")


class SharedCentroids:
    """A training constraint: assignments are fixed, every cluster moves by its own gradient, pruned weights stay zero.

    The gradient of a centroid is the sum over its members, dL/dc_k = sum of dL/dw_i with code(i) = k. Sums grow with
    the clusters, so that a rate for ordinary weights is far too high for them:

        "sum"        the definition; wants a learning rate some hundred times smaller than for weights
        "layer-sum"  the sum over the layer's mean cluster size: the definition up to one factor per layer, at rates
                     that suit BatchNorm and biases, which train along
        "mean"       the sum over the cluster's own size: the projection of the weights' gradient

    The network's weights must share values already. Weight decay would move members of a cluster alike, and shrink
    it by the sum of its members' decay; leave it off.

    Args:
        together: a value is one cluster wherever in the network it stands, not one in each layer that has it.
        skip: names of weights that are not shared.
    """

    def __init__(
        self,
        network: nn.Module,
        gradient: str = "layer-sum",
        *,
        together: bool = False,
        skip: Collection[str] = (),
    ) -> None:
        if gradient not in GRADIENTS:
            raise RecipeError(f"gradient {gradient!r}, must be one of {', '.join(GRADIENTS)}")
        self.gradient = gradient
        weights = prunable_parameters(network)
        self.groups = codebook_groups(network, together=together, skip=skip)
        self.clusters: dict[str, Clusters] = {}
        for group in self.groups:
            self.clusters |= clusters_of({name: weights[name].detach() for name in group})

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        weights = prunable_parameters(network)
        for group in self.groups:
            gradients = {name: grad for name in group if (grad := weights[name].grad) is not None}
            if gradients:
                sums = self._scaled(self._sums(gradients), self._counts(group))
                for name, gradient in gradients.items():
                    gradient.copy_(scattered(gradient, self.clusters[name], sums))

    def _scaled(self, sums: Tensor, counts: Tensor) -> Tensor:
        """What each member of a cluster gets of its cluster's gradient."""
        if self.gradient == "mean":
            return sums / counts
        return sums / counts.mean() if self.gradient == "layer-sum" else sums

    def _sums(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return _total(_sums(tensor, self.clusters[name]) for name, tensor in tensors.items())

    def _counts(self, group: Sequence[str]) -> Tensor:
        return _total(self.clusters[name].counts for name in group)

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        weights = prunable_parameters(network)
        for group in self.groups:
            values = _first_members({name: weights[name] for name in group}, self.clusters)
            for name in group:
                weights[name].copy_(scattered(weights[name], self.clusters[name], values))

    @torch.no_grad()
    def project(self, tensors: dict[str, Tensor]) -> None:
        for group in self.groups:
            means = self._sums({name: tensors[name] for name in group}) / self._counts(group)
            for name in group:
                tensors[name].copy_(scattered(tensors[name], self.clusters[name], means))

    def state(self) -> dict[str, Tensor]:
        state = {}
        for name, clusters in self.clusters.items():
            state[f"positions.{name}"], state[f"codes.{name}"] = clusters.positions, clusters.codes
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        for group in self.groups:
            count = max(
                (int(state[f"codes.{name}"].max()) + 1 for name in group if len(state[f"codes.{name}"])), default=0
            )
            for name in group:
                device = self.clusters[name].codes.device
                positions, codes = (state[f"{field}.{name}"].to(device) for field in ("positions", "codes"))
                self.clusters[name] = complete_clusters(positions, codes, count)


def _first_members(weights: Mapping[str, Tensor], clusters: Mapping[str, Clusters]) -> Tensor:
    """The value that the first member of each cluster has, float64 [clusters]: all members move alike."""
    values = torch.cat([weights[name].reshape(-1)[clusters[name].positions] for name in weights]).double()
    codes = torch.cat([clusters[name].codes for name in weights])
    order = codes.argsort(stable=True)
    counts = torch.bincount(codes)
    return values[order[counts.cumsum(0) - counts]]


def _total(parts: Iterable[Tensor]) -> Tensor:
    first, *rest = parts
    for each in rest:
        first = first + each
    return first


def _sums(tensor: Tensor, clusters: Clusters) -> Tensor:
    """float64 [clusters]: bincount adds in a fixed order on the CPU, so that a resumed run repeats itself."""
    members = tensor.reshape(-1)[clusters.positions].double()
    return torch.bincount(clusters.codes, weights=members, minlength=len(clusters.counts))
