"""The rounds that a structured recipe consists of, and the search each is trained under."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from compressor.structured.admm import StructuredAdmm
from compressor.structured.baselines import GroupLasso, LargestByL1, SoftFilters
from compressor.structured.factorized import FactorizedFilters
from compressor.structured.nisp import ImportantFilters
from compressor.structured.propagation import filter_importance
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.search import StructuredSearch
from compressor.training.samples import Samples

_SEARCHES = {"l1": LargestByL1, "sfp": SoftFilters, "group-lasso": GroupLasso, "admm": StructuredAdmm}


@dataclass(frozen=True, slots=True)
class StructuredRound:
    """One kind of group, searched for and fixed in one training."""

    name: str
    recipe: StructuredRecipe
    kind: str
    rate_at: Callable[[float], float]

    def begin(self, network: nn.Module, samples: Samples) -> StructuredSearch:
        """The search over a network that has been trained; what an earlier round zeroed stays zero."""
        if self.recipe.method == "fcf":
            return FactorizedFilters(network, self.recipe, self.rate_at).begin(network)
        if self.recipe.method == "nisp":
            importance = filter_importance(network, samples)
            return ImportantFilters(network, self.recipe, self.kind, importance).begin(network)
        return _SEARCHES[self.recipe.method](network, self.recipe, self.kind).begin(network)


def structured_rounds(recipe: StructuredRecipe, rate_at: Callable[[float], float]) -> Iterator[StructuredRound]:
    """One round for each kind, in the recipe's order (columns, then filters, in Ma et al. 2019).

    Args:
        rate_at: the learning rate after a share (0..1) of a round's training.
    """
    for kind in recipe.kinds:
        yield StructuredRound(f"prune-{kind}", recipe, kind, rate_at)
