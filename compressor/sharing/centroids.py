"""Train the centroids: weights that share a value move as one (Han et al. 2016, section 3.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.pruning.masks import prunable_parameters

GRADIENTS = ("sum", "layer-sum", "mean")


@dataclass(frozen=True, slots=True, eq=False)
class _Clusters:
    """One layer's assignment.

    Attributes:
        positions: flat positions of the surviving weights, int64 [nonzeros].
        codes: the cluster of each, int64 [nonzeros].
        counts: members of each cluster, [clusters].
        firsts: flat position of one member of each cluster, [clusters].
    """

    positions: Tensor
    codes: Tensor
    counts: Tensor
    firsts: Tensor


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
    """

    def __init__(self, network: nn.Module, gradient: str = "layer-sum") -> None:
        if gradient not in GRADIENTS:
            raise RecipeError(f"gradient {gradient!r}, must be one of {', '.join(GRADIENTS)}")
        self.gradient = gradient
        self.clusters = {name: _clusters(weight.detach()) for name, weight in prunable_parameters(network).items()}

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        for name, weight in prunable_parameters(network).items():
            if weight.grad is not None:
                weight.grad.copy_(self._spread(weight.grad, self.clusters[name]))

    def _spread(self, gradient: Tensor, clusters: _Clusters) -> Tensor:
        """Each member gets its cluster's gradient, everything else 0."""
        sums = _sums(gradient, clusters)
        if self.gradient == "mean":
            sums = sums / clusters.counts
        elif self.gradient == "layer-sum":
            sums = sums / clusters.counts.mean()
        return _scatter(gradient, clusters, sums)

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        for name, weight in prunable_parameters(network).items():
            clusters = self.clusters[name]
            weight.copy_(_scatter(weight, clusters, weight.reshape(-1)[clusters.firsts]))

    @torch.no_grad()
    def project(self, tensors: dict[str, Tensor]) -> None:
        for name, clusters in self.clusters.items():
            means = _sums(tensors[name].double(), clusters) / clusters.counts
            tensors[name].copy_(_scatter(tensors[name], clusters, means.to(tensors[name].dtype)))

    def state(self) -> dict[str, Tensor]:
        state = {}
        for name, clusters in self.clusters.items():
            state[f"positions.{name}"], state[f"codes.{name}"] = clusters.positions, clusters.codes
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        for name, clusters in self.clusters.items():
            device = clusters.codes.device
            self.clusters[name] = _complete(state[f"positions.{name}"].to(device), state[f"codes.{name}"].to(device))


def _clusters(weight: Tensor) -> _Clusters:
    flat = weight.reshape(-1)
    positions = flat.nonzero().squeeze(1)
    return _complete(positions, torch.unique(flat[positions], return_inverse=True)[1])


def _complete(positions: Tensor, codes: Tensor) -> _Clusters:
    order = codes.argsort(stable=True)
    counts = torch.bincount(codes)
    starts = counts.cumsum(0) - counts
    return _Clusters(positions, codes, counts.double(), positions[order[starts]])


def _sums(tensor: Tensor, clusters: _Clusters) -> Tensor:
    """float64 [clusters]: bincount adds in a fixed order on the CPU, so that a resumed run repeats itself."""
    members = tensor.reshape(-1)[clusters.positions].double()
    return torch.bincount(clusters.codes, weights=members, minlength=len(clusters.counts))


def _scatter(like: Tensor, clusters: _Clusters, values: Tensor) -> Tensor:
    """A tensor shaped as `like`: each member its cluster's value, 0 elsewhere."""
    flat = torch.zeros(like.numel(), dtype=like.dtype, device=like.device)
    flat[clusters.positions] = values.to(like.dtype)[clusters.codes]
    return flat.reshape(like.shape)
