"""Three simple ways to find filters that may go: by l1 norm at once, softly, and by a penalty on norms."""

from torch import nn

from compressor.structured.groups import group_norms, spread
from compressor.structured.search import StructuredSearch

TINY = 1e-12  # under a norm: the penalty's slope at zero is taken as zero


class LargestByL1(StructuredSearch):
    """Filters of the smallest sum of magnitudes go at once (Li et al. 2017, "Pruning Filters for Efficient ConvNets",
    section 3.1); with `end` above 0 the choice waits until then."""

    norm_order = 1.0


class SoftFilters(StructuredSearch):
    """The smallest groups are set to zero every `refresh_steps`, and go on training from there; those that are smallest
    at the end stay zero (He et al. 2018, "Soft Filter Pruning", algorithm 1; an epoch there is so many steps here)."""

    def move(self, weights: dict[str, nn.Parameter], progress: float) -> None:
        if self.steps % self.recipe.refresh_steps:
            return
        for name in self.kept:
            weights[name].mul_(spread(self.chosen(name, weights[name]), weights[name], self.kind))


class GroupLasso(StructuredSearch):
    """The sum of all groups' norms joins the loss, which drives whole groups towards zero (Wen et al. 2016, "Learning
    Structured Sparsity", equation 4); the smallest go at the end."""

    def bend(self, weights: dict[str, nn.Parameter]) -> None:
        for name in self.kept:
            weight = weights[name]
            if weight.grad is not None:
                norms = spread(group_norms(weight.detach(), self.kind).clamp_min(TINY), weight, self.kind)
                weight.grad.add_(weight.detach() / norms, alpha=self.recipe.strength)
