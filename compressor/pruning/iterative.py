"""Which rounds a pruning recipe consists of, and the constraint each is trained under."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from compressor.pruning.costs import output_pixels
from compressor.pruning.magnitude import CubicSchedule, GradualPruning
from compressor.pruning.masks import FixedMasks, Masks, apply_masks, nonzero_masks, prunable_parameters, sparsity_of
from compressor.pruning.recipe import PruneRecipe
from compressor.pruning.scores import SCORES
from compressor.pruning.threshold import threshold_masks
from compressor.training.constraint import Constraint, Unconstrained
from compressor.training.samples import Samples


@dataclass(frozen=True, slots=True)
class PruningRound:
    """One round: `begin` prunes what it prunes at once and returns what binds the training that follows."""

    name: str
    recipe: PruneRecipe
    quality_scale: float = 1.0

    def go_on(self, network: nn.Module, samples: Samples) -> Constraint:
        """Set up the gradual schedule for a network of which something was pruned before: that stays zero."""
        return self._gradual(network, samples, nonzero_masks(network))

    def begin(self, network: nn.Module, samples: Samples) -> Constraint:
        """Prune by the threshold now, or set up the gradual schedule; the weights stay on their device."""
        recipe = self.recipe
        if recipe.method == "none":
            return Unconstrained()
        if recipe.method == "gradual":
            return self._gradual(network, samples, None)
        masks = threshold_masks(network, recipe.quality, self.quality_scale)
        apply_masks(dict(prunable_parameters(network)), masks)
        return FixedMasks(masks)

    def _gradual(self, network: nn.Module, samples: Samples, within: Masks | None) -> GradualPruning:
        recipe, score = self.recipe, SCORES[self.recipe.score]
        return GradualPruning(
            network,
            CubicSchedule(recipe.sparsity, recipe.begin, recipe.end, sparsity_of(within) if within else 0.0),
            refresh_steps=recipe.refresh_steps,
            floors=recipe.floors,
            score=score,
            pixels=output_pixels(network, samples.input_shape) if score.wants_pixels else None,
            within=within,
        )


def pruning_rounds(recipe: PruneRecipe) -> Iterator[PruningRound]:
    """The rounds in order: one for `gradual`; for `threshold` as many as asked for; a plain retraining for `none`.

    Every round thresholds the weights that the one before has retrained, so that more go each time (Han et al. 2015,
    section 3.4); the quality rises evenly to its full value, so that the last round prunes by what the recipe says.
    """
    if recipe.method != "threshold":
        yield PruningRound("prune" if recipe.method == "gradual" else "retrain", recipe)
        return
    for number in range(1, recipe.rounds + 1):
        yield PruningRound(f"prune-{number}", recipe, number / recipe.rounds)
