"""Filters go by the importance that reaches them from the final responses (Yu et al. 2018)."""

from collections.abc import Mapping

from torch import Tensor, nn

from compressor.pruning.masks import prunable_parameters
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.search import StructuredSearch


class ImportantFilters(StructuredSearch):
    """The filters of least importance go at once, before the training: importance is that of the network as it is.

    Args:
        importance: of each filter, by the weight's name, `propagation.filter_importance`; a layer that it does not
            name (the classifier) goes by the l2 norm of its filters.
    """

    def __init__(
        self, network: nn.Module, recipe: StructuredRecipe, kind: str, importance: Mapping[str, Tensor]
    ) -> None:
        super().__init__(network, recipe, kind)
        self.importance = importance

    def begin(self, network: nn.Module) -> StructuredSearch:
        self._fix(prunable_parameters(network))
        return self

    def worth(self, name: str, weight: Tensor) -> Tensor:
        if name not in self.importance:
            return super().worth(name, weight)
        return self.importance[name].to(weight.device)
