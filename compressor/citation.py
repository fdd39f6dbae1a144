"""How a bundle cites a recipe: what differs from the defaults of the version that made it, in few bytes."""

import dataclasses
from typing import Any

from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CompressRecipe
from compressor.removal.recipe import PurifyRecipe, RemoveRecipe
from compressor.sharing.recipe import LatentRecipe, ShareRecipe
from compressor.structured.recipe import StructuredRecipe
from compressor.training.recipe import SmallPhase, TrainRecipe
from compressor.vector_quantization.recipe import VectorRecipe

_NESTED = {
    "prune": PruneRecipe,
    "share": ShareRecipe,
    "retrain": TrainRecipe,
    "centroids": TrainRecipe,
    "augmentation": Augmentation,
    "small_phase": SmallPhase,
    "factorize": FactorizeRecipe,
    "structure": StructuredRecipe,
    "quantize": QuantizeRecipe,
    "remove": RemoveRecipe,
    "purify": PurifyRecipe,
    "vectors": VectorRecipe,
    "latent": LatentRecipe,
}


def cite(recipe: Any) -> dict[str, Any]:
    """The fields that differ from their dataclass's defaults, as JSON values; nested recipes likewise."""
    changes = {}
    for item in dataclasses.fields(recipe):
        value = getattr(recipe, item.name)
        if value != _default(item):
            changes[item.name] = cite(value) if dataclasses.is_dataclass(value) else value
    return changes


def read_citation(changes: dict[str, Any]) -> CompressRecipe:
    """The recipe that `cite` shortened, also after a trip through JSON.

    Raises:
        RecipeError: it is not a citation of this version's recipes.
    """
    try:
        return CompressRecipe(**_arguments(changes))
    except (TypeError, ValueError, AttributeError) as error:  # names, numbers, or nesting that do not fit
        raise RecipeError(f"citation of another version's recipe ({error})") from error


def _arguments(changes: dict[str, Any]) -> dict[str, Any]:
    arguments = {}
    for name, value in changes.items():
        if name in _NESTED and value is not None:
            arguments[name] = _NESTED[name](**_arguments(value))
        elif isinstance(value, list | tuple):
            arguments[name] = tuple(item if isinstance(item, str) else tuple(item) for item in value)
        else:
            arguments[name] = value
    return arguments


def _default(item: "dataclasses.Field[Any]") -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default  # MISSING, which equals nothing, where the field is required
