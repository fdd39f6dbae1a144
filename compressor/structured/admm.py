"""Structured pruning by ADMM: weights are drawn towards their nearest structured-sparse tensors (Ma et al. 2019)."""

import torch
from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.structured.groups import best_groups, group_norms, spread
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.search import StructuredSearch


class StructuredAdmm(StructuredSearch):
    """min loss(W) with W = Z, Z of few groups: the loss gains rho/2 |W - Z + U|^2, and every `refresh_steps`
    Z = projection of W + U, U += W - Z (arXiv 1905.00136, section 3.2; Zhang et al. 2018). rho grows with every round,
    as its authors' multi-rho training does run by run. At the end the groups of the last projection stay.
    """

    def __init__(self, network: nn.Module, recipe: StructuredRecipe, kind: str) -> None:
        super().__init__(network, recipe, kind)
        weights = prunable_parameters(network)
        self.rho = recipe.strength
        self.dual = {name: torch.zeros_like(weights[name]) for name in self.kept}
        self.target = {name: self._projected(name, weights[name].detach()) for name in self.kept}

    def bend(self, weights: dict[str, nn.Parameter]) -> None:
        for name, target in self.target.items():
            weight = weights[name]
            if weight.grad is not None:
                weight.grad.add_(weight.detach() - target + self.dual[name], alpha=self.rho)

    def move(self, weights: dict[str, nn.Parameter], progress: float) -> None:
        if self.steps % self.recipe.refresh_steps:
            return
        for name in self.kept:
            weight = weights[name].detach()
            self.target[name] = self._projected(name, weight + self.dual[name])
            self.dual[name] += weight - self.target[name]
        self.rho = min(self.rho * self.recipe.growth, self.recipe.limit)

    def _projected(self, name: str, weight: Tensor) -> Tensor:
        """The nearest tensor with as many groups as are kept."""
        best = best_groups(group_norms(weight, self.kind), self.kept[name])
        return weight * spread(best, weight, self.kind)

    def worth(self, name: str, weight: Tensor) -> Tensor:
        return super().worth(name, weight + self.dual[name])

    def state(self) -> dict[str, Tensor]:
        state = super().state() | {"rho": torch.tensor(self.rho, dtype=torch.float64)}
        state |= {f"dual.{name}": dual for name, dual in self.dual.items()}
        return state | {f"target.{name}": target for name, target in self.target.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.rho = float(state["rho"])
        for name in self.kept:
            self.dual[name].copy_(state[f"dual.{name}"])
            self.target[name].copy_(state[f"target.{name}"])
