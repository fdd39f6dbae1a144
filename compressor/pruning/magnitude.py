"""Gradual pruning during training: sparsity rises on a cubic schedule, masked weights may come back until the end."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, resolve_rules
from compressor.pruning.masks import Masks, apply_masks, layer_of, prunable_parameters, sparsity_of
from compressor.pruning.scores import SCORES, Score, masks_by_score


@dataclass(frozen=True, slots=True)
class CubicSchedule:
    """s(t) = initial + (final - initial) * (1 - (1 - t')^3), t' rising from 0 to 1 between `begin` and `end` (Zhu and
    Gupta 2017).

    Attributes:
        final: the sparsity (0..1) reached at `end`.
        begin, end: shares (0..1) of the training run.
        initial: the sparsity before.
    """

    final: float
    begin: float
    end: float
    initial: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.final < 1 or not 0 <= self.begin < self.end <= 0.99:
            raise RecipeError(
                f"schedule: sparsity {self.final} from {self.begin} to {self.end}, must be 0 <= sparsity < 1, "
                "0 <= begin < end <= 0.99"
            )
        if not 0 <= self.initial <= self.final:
            raise RecipeError(f"schedule: sparsity {self.final}, must be at least the {self.initial} that there is")

    def sparsity_at(self, progress: float) -> float:
        """The sparsity after `progress` (0..1) of the run."""
        share = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return self.initial + (self.final - self.initial) * (1 - (1 - share) ** 3)


class GradualPruning:
    """A training constraint that prunes by score while the network trains, then keeps the mask.

    Until the mask freezes, the optimiser moves dense latent weights by gradients taken at the masked point, so that a
    pruned weight that turns out to matter comes back (DPF, Lin et al. 2020). From `schedule.end` on the mask is fixed,
    gradients are masked, and pruned weights stay zero whatever momentum holds.

    Args:
        score: where it depends on a layer's density, on the one that the mask before this one left.
        pixels: output pixels of each weight's layer, for a score that wants them.
        within: what may have weights at all; the rest stays zero.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: CubicSchedule,
        *,
        refresh_steps: int = 100,
        floors: LayerRules = (("*", 0.0),),
        score: Score = SCORES["magnitude"],
        pixels: Mapping[str, int] | None = None,
        within: Masks | None = None,
    ) -> None:
        weights = prunable_parameters(network)
        by_layer = resolve_rules(floors, [layer_of(name) for name in weights])
        self.schedule = schedule
        self.refresh_steps = refresh_steps
        self.score = score
        self.pixels = pixels or {}
        self.floors = {name: by_layer[layer_of(name)] for name in weights}
        _check_floors(self.floors, {name: weight.numel() for name, weight in weights.items()}, schedule.final)
        self.within = within or {}
        self.masks = {
            name: self.within.get(name, torch.ones_like(weight, dtype=torch.bool)).clone()
            for name, weight in weights.items()
        }
        self.latent = {name: weight.detach().clone() for name, weight in weights.items()}
        self.steps = 0
        self.frozen = False

    @property
    def sparsity(self) -> float:
        return sparsity_of(self.masks)

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        for name, weight in prunable_parameters(network).items():
            if not self.frozen:
                weight.copy_(self.latent[name])
            elif weight.grad is not None:
                weight.grad.mul_(self.masks[name])

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        weights = prunable_parameters(network)
        if not self.frozen:
            for name, weight in weights.items():
                self.latent[name].copy_(weight)
            apply_masks(self.latent, self.within)
            self._refresh(progress)
            self.steps += 1
        apply_masks(weights, self.masks)

    def _refresh(self, progress: float) -> None:
        ended = progress >= self.schedule.end
        if ended or (progress >= self.schedule.begin and self.steps % self.refresh_steps == 0):
            scores = {
                name: self.score.of(weight, float(self.masks[name].double().mean()), self.pixels.get(name, 1))
                for name, weight in self.latent.items()
            }
            masks = masks_by_score(scores, self.schedule.sparsity_at(progress), self.floors)
            self.masks = {name: mask & self.within.get(name, mask) for name, mask in masks.items()}
        if ended:
            self.frozen, self.latent = True, {}

    def project(self, tensors: dict[str, Tensor]) -> None:
        apply_masks(tensors, self.masks)

    def state(self) -> dict[str, Tensor]:
        masks = {f"mask.{name}": mask.to(torch.uint8) for name, mask in self.masks.items()}
        latent = {f"latent.{name}": weight for name, weight in self.latent.items()}
        return {**masks, **latent, "steps": torch.tensor(self.steps), "frozen": torch.tensor(self.frozen)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.steps, self.frozen = int(state["steps"]), bool(state["frozen"])
        for name, mask in self.masks.items():
            mask.copy_(state[f"mask.{name}"].bool())
        if self.frozen:
            self.latent = {}
        for name, weight in self.latent.items():
            weight.copy_(state[f"latent.{name}"])


def _check_floors(floors: dict[str, float], counts: dict[str, int], sparsity: float) -> None:
    kept = sum(floor * counts[name] for name, floor in floors.items()) / sum(counts.values())
    if kept > 1 - sparsity:
        raise RecipeError(f"floors keep {kept:.1%} of the weights, must leave room for a sparsity of {sparsity:.1%}")
