"""Factorized filters: each filter is a scalar times a filter, and the scalars are driven to 0 or 1 (CNN-FCF)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.structured.groups import group_count, spread
from compressor.structured.lp_box import project_capped_simplex, project_sphere
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.search import StructuredSearch


class FactorizedFilters(StructuredSearch):
    """min loss(v * W) with v in {0, 1}^n and sum(v) = k, by lp-box ADMM beside SGD (Li et al. 2019, "Compressing CNNs
    via Factorized Convolutional Filters", section 3, algorithm 1).

    The network holds v * W; behind it lie W, which the optimiser moves, and v, which moves at the same rate along
    alpha [y1 + y2 + rho (2 v - z1 - z2)] + (1 - alpha) dloss/dv. At the end the k largest v become 1, the rest 0: the
    filters that stay are left as trained, v folded in.

    Args:
        rate_at: the learning rate after a share (0..1) of the run.
    """

    def __init__(self, network: nn.Module, recipe: StructuredRecipe, rate_at: Callable[[float], float]) -> None:
        super().__init__(network, recipe, "filters")
        weights = prunable_parameters(network)
        self.rate_at = rate_at
        self.rho = recipe.strength
        self.filters = {name: weights[name].detach().clone() for name in self.kept}
        self.scalars = {name: self._like(weights[name], 1.0) for name in self.kept}
        self.duals = {name: (self._like(weights[name], 0.0), self._like(weights[name], 0.0)) for name in self.kept}
        self._slopes: dict[str, Tensor] = {}  # dloss/dv, from before the step to after it

    @staticmethod
    def _like(weight: Tensor, value: float) -> Tensor:
        return torch.full((group_count(weight, "filters"),), value, dtype=torch.float64, device=weight.device)

    def bend(self, weights: dict[str, nn.Parameter]) -> None:
        for name, filters in self.filters.items():
            weight = weights[name]
            if weight.grad is not None:
                self._slopes[name] = (weight.grad * filters).flatten(1).double().sum(1)
                weight.grad.mul_(spread(self.scalars[name].to(weight.dtype), weight, "filters"))
            weight.copy_(filters)

    def move(self, weights: dict[str, nn.Parameter], progress: float) -> None:
        rate = self.rate_at(progress)
        for name in self.kept:
            self.filters[name].copy_(weights[name])
            self._move_scalars(name, rate)
            weights[name].mul_(spread(self.scalars[name].to(weights[name].dtype), weights[name], "filters"))
        self.rho = min(self.rho * self.recipe.growth, self.recipe.limit)

    def _move_scalars(self, name: str, rate: float) -> None:
        scalars, (box_dual, sphere_dual) = self.scalars[name], self.duals[name]
        box = project_capped_simplex(scalars + box_dual / self.rho, self.kept[name])
        sphere = project_sphere(scalars + sphere_dual / self.rho)
        pull = box_dual + sphere_dual + self.rho * (2 * scalars - box - sphere)
        slope = self._slopes.pop(name, torch.zeros_like(scalars))
        alpha = self.recipe.mixing
        scalars.sub_(rate * (alpha * pull + (1 - alpha) * slope))
        box_dual.add_(self.rho * (scalars - box))
        sphere_dual.add_(self.rho * (scalars - sphere))

    def worth(self, name: str, weight: Tensor) -> Tensor:
        return self.scalars[name]

    def state(self) -> dict[str, Tensor]:
        state = super().state() | {"rho": torch.tensor(self.rho, dtype=torch.float64)}
        for name in self.kept:
            state |= {f"filters.{name}": self.filters[name], f"scalars.{name}": self.scalars[name]}
            state |= {f"box.{name}": self.duals[name][0], f"sphere.{name}": self.duals[name][1]}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.rho = float(state["rho"])
        for name in self.kept:
            self.filters[name].copy_(state[f"filters.{name}"])
            self.scalars[name].copy_(state[f"scalars.{name}"])
            for dual, side in zip(self.duals[name], ("box", "sphere"), strict=True):
                dual.copy_(state[f"{side}.{name}"])
