"""The hyper-parameters of factorization."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules


@dataclass(frozen=True, slots=True)
class FactorizeRecipe:
    """How much of each layer its factors keep.

    Attributes:
        energy: share of a layer's squared weights that the ranks keep, along each side; 1 leaves a layer as it is.
        least_saving: a layer whose factors save less than this share of its weights stays as it is.
    """

    energy: LayerRules = (("first", 1.0), ("last", 1.0), ("*", 0.9))
    least_saving: float = 0.1

    def __post_init__(self) -> None:
        check_rules("energy", self.energy, 0.0, 1.0)
        if not 0 <= self.least_saving < 1:
            raise RecipeError(f"least_saving = {self.least_saving}, must be in [0, 1)")
