"""The rounds that a structured recipe consists of, and the search each is trained under."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from compressor.structured.admm import StructuredAdmm
from compressor.structured.baselines import GroupLasso, LargestByL1, SoftFilters
from compressor.structured.factorized import FactorizedFilters
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.search import StructuredSearch

_SEARCHES = {"l1": LargestByL1, "sfp": SoftFilters, "group-lasso": GroupLasso, "admm": StructuredAdmm}


@dataclass(frozen=True, slots=True)
class StructuredRound:
    """One kind of group, searched for and fixed in one training."""

    name: str
    recipe: StructuredRecipe
    kind: str
    rate_at: Callable[[float], float]

    def begin(self, network: nn.Module, input_shape: tuple[int, int, int]) -> StructuredSearch:
        """The search over a network that has been trained; what an earlier round zeroed stays zero."""
        if self.recipe.method == "fcf":
            return FactorizedFilters(network, self.recipe, self.rate_at).begin(network)
        return _SEARCHES[self.recipe.method](network, self.recipe, self.kind).begin(network)


def structured_rounds(recipe: StructuredRecipe, rate_at: Callable[[float], float]) -> Iterator[StructuredRound]:
    """One round for each kind, in the recipe's order (columns, then filters, in Ma et al. 2019).

    Args:
        rate_at: the learning rate after a share (0..1) of a round's training.
    """
    for kind in recipe.kinds:
        yield StructuredRound(f"prune-{kind}", recipe, kind, rate_at)
