"""A training constraint in two halves: groups are searched for while all weights train, then the choice is fixed."""

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import FixedMasks, Masks, apply_masks, layer_of, prunable_parameters
from compressor.structured.groups import best_groups, group_count, group_norms, kept_count, spread
from compressor.structured.recipe import StructuredRecipe


class StructuredSearch:
    """What all methods share; each bends the gradients, moves the weights or its own variables, or does neither.

    Weights that are zero at the start (an earlier round's) stay zero.
    """

    norm_order = 2.0  # of the norms that decide

    def __init__(self, network: nn.Module, recipe: StructuredRecipe, kind: str) -> None:
        weights = prunable_parameters(network)
        shares = resolve_rules(recipe.kept_of(kind), [layer_of(name) for name in weights])
        self.recipe = recipe
        self.kind = kind
        self.kept = {
            name: kept_count(group_count(weight, kind), shares[layer_of(name)])
            for name, weight in weights.items()
            if shares[layer_of(name)] < 1 and (weight.ndim == 4 or kind != "columns")
        }
        if not self.kept:
            raise RecipeError(f"kept: {recipe.kept_of(kind)}, must be below 1 for one of {len(weights)} layers")
        self.alive: Masks = {name: weight.detach() != 0 for name, weight in weights.items()}
        self.fixed: FixedMasks | None = None
        self.steps = 0

    def begin(self, network: nn.Module) -> "StructuredSearch":
        """Make the choice at once where the search has no time."""
        if self.recipe.end == 0:
            self._fix(prunable_parameters(network))
        return self

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        if self.fixed is not None:
            self.fixed.before_step(network)
            return
        weights = prunable_parameters(network)
        self.bend(weights)
        for name, weight in weights.items():
            if weight.grad is not None:
                weight.grad.mul_(self.alive[name])

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        if self.fixed is not None:
            self.fixed.after_step(network, progress)
            return
        weights = prunable_parameters(network)
        apply_masks(weights, self.alive)
        self.steps += 1
        self.move(weights, progress)
        if progress >= self.recipe.end:
            self._fix(weights)

    def bend(self, weights: dict[str, nn.Parameter]) -> None:
        """Change the gradients before the optimiser uses them."""

    def move(self, weights: dict[str, nn.Parameter], progress: float) -> None:
        """After the optimiser's step, while the search goes on."""

    def worth(self, name: str, weight: Tensor) -> Tensor:
        """What each group of a weight is worth when the choice is made, flat."""
        return group_norms(weight, self.kind, self.norm_order)

    def chosen(self, name: str, weight: Tensor) -> Tensor:
        """The groups that stay, a bool each."""
        return best_groups(self.worth(name, weight.detach()), self.kept[name])

    def _fix(self, weights: dict[str, nn.Parameter]) -> None:
        masks = dict(self.alive)
        for name in self.kept:
            masks[name] = masks[name] & spread(self.chosen(name, weights[name]), weights[name], self.kind)
        self.fixed = FixedMasks(masks)
        with torch.no_grad():
            apply_masks(weights, masks)

    def project(self, tensors: dict[str, Tensor]) -> None:
        apply_masks(tensors, self.fixed.masks if self.fixed is not None else self.alive)

    def state(self) -> dict[str, Tensor]:
        masks = self.fixed.masks if self.fixed is not None else self.alive
        state = {f"mask.{name}": mask.to(torch.uint8) for name, mask in masks.items()}
        return state | {"steps": torch.tensor(self.steps), "fixed": torch.tensor(self.fixed is not None)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.steps = int(state["steps"])
        masks = {name: state[f"mask.{name}"].bool().to(mask.device) for name, mask in self.alive.items()}
        if bool(state["fixed"]):
            self.fixed = FixedMasks(masks)
        else:
            self.alive, self.fixed = masks, None
