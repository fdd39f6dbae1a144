"""Options of the methods beside pruning single weights: structure, quantization, factorization."""

import argparse
import dataclasses
from typing import Any

from compressor.commands.options import check_read_by, given_as
from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from compressor.layer_rules import parse_rules
from compressor.quantization.recipe import METHODS as QUANTIZATIONS
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CompressRecipe
from compressor.removal.recipe import PurifyRecipe, RemoveRecipe
from compressor.sharing.recipe import CODEBOOKS
from compressor.structured.recipe import METHODS as STRUCTURES
from compressor.structured.recipe import StructuredRecipe
from compressor.vector_quantization.recipe import METHODS as VECTORS
from compressor.vector_quantization.recipe import VectorRecipe

_STRUCTURE = {
    "structure_end": "end",
    "structure_steps": "refresh_steps",
    "structure_strength": "strength",
    "structure_growth": "growth",
    "structure_limit": "limit",
    "structure_mixing": "mixing",
}
_STRUCTURE_READ_BY = {
    "structure_end": ("l1", "sfp", "group-lasso", "admm", "fcf"),
    "structure_steps": ("sfp", "admm"),
    "structure_strength": ("group-lasso", "admm", "fcf"),
    "structure_growth": ("admm", "fcf"),
    "structure_limit": ("admm", "fcf"),
    "structure_mixing": ("fcf",),
}
_NUMBERS = {
    "structure_end": (float, "share of a round's run, after it only what is left trains"),
    "structure_steps": (int, "sfp, admm: steps between two choices"),
    "structure_strength": (float, "group-lasso: weight of the norms; admm, fcf: rho at the start"),
    "structure_growth": (float, "factor on rho; admm: at each choice, fcf: at each step"),
    "structure_limit": (float, "the largest rho"),
    "structure_mixing": (float, "fcf: weight of the constraint's gradient beside the loss's"),
}


def add_methods(parser: argparse.ArgumentParser) -> None:
    """Three groups of options; each is None where it is not given."""
    group = parser.add_argument_group(
        "structure: whole filters, channels or columns go, instead of single weights or before them"
    )
    group.add_argument("--structure", choices=STRUCTURES, help="how they are found")
    group.add_argument("--structure-kinds", help="filters, channels or columns; one round for each, commas between")
    group.add_argument("--structure-kept", help="share of each layer that stays: first=1,columns:conv2=0.3,*=0.5")
    for name, (kind, explanation) in _NUMBERS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, help=explanation)
    group = parser.add_argument_group("quantization: two or three values a layer, instead of pruning")
    group.add_argument("--quantize", choices=QUANTIZATIONS)
    group.add_argument("--quantize-layers", help="1 for layers that are quantized, such as first=0,last=0,*=1")
    group.add_argument("--quantize-zeros", help="twn, ttq: share of zeros, such as 0.6 or layer1.*=0.5,*=0.6")
    group.add_argument("--quantize-scale-rate", type=float, help="ttq: learning rate of the scales")
    group = parser.add_argument_group("vector quantization: whole vectors share codewords, instead of single values")
    group.add_argument("--vectors", choices=VECTORS, help="product (one codeword each) or residual (sums of several)")
    group.add_argument("--vector-length", help="elements of a vector, such as linear=8,*=9 (9 where it fits)")
    group.add_argument("--codewords", help="of each stage's codebook, 0 for other layers, such as first=0,last=0,*=64")
    group.add_argument("--vector-stages", type=int, help="rq: codewords that are summed")
    group.add_argument("--vector-codebooks", choices=CODEBOOKS, help="one (a stage) for each layer, or for the network")
    group = parser.add_argument_group("factorization: layers are split before anything else, by SVD or Tucker-2")
    group.add_argument("--factorize", metavar="ENERGY", help="share of squared weights kept, such as first=1,*=0.9")
    group.add_argument("--factorize-saving", type=float, help="least share of a layer's weights that splitting saves")
    group = parser.add_argument_group("removal: dead filters and channels leave the network, after pruning")
    group.add_argument("--remove", action=argparse.BooleanOptionalAction, default=None)
    group.add_argument("--remove-epochs", type=int, help="of training what is left; 0: BatchNorm's statistics only")
    group.add_argument("--remove-learning-rate", type=float, help="the peak of that")
    group.add_argument(
        "--purify",
        metavar="COLUMN,EMPTINESS,CHANNEL,FILTER",
        help="thresholds of what is emptied first",
    )


def changed_methods(recipe: CompressRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """What the options make of a recipe's fields: structure, quantize, factorize, and pruning's method beside them.

    Raises:
        RecipeError: an option is out of its range, or stands without the one it belongs to.
    """
    structure = _structure(recipe.structure, options)
    quantize = _quantize(recipe.quantize, options)
    changes: dict[str, Any] = {
        "structure": structure,
        "quantize": quantize,
        "factorize": _factorize(recipe.factorize, options),
        "remove": _remove(recipe.remove, options),
        "vectors": _vectors(recipe.vectors, options),
    }
    if (options.structure or options.quantize) and options.method is None:
        changes["prune"] = dataclasses.replace(recipe.prune, method="none")
    return changes


def _structure(recipe: StructuredRecipe | None, options: argparse.Namespace) -> StructuredRecipe | None:
    changes = given_as(options, _STRUCTURE)
    if options.structure_kept is not None:
        changes["kept"] = parse_rules(options.structure_kept)
    if options.structure_kinds is not None:
        changes["kinds"] = tuple(options.structure_kinds.split(","))
    changed = _changed("--structure", options.structure, recipe, StructuredRecipe, changes)
    if changed is not None:
        check_read_by(options, "structure", changed.method, _STRUCTURE_READ_BY)
    return changed


def _quantize(recipe: QuantizeRecipe | None, options: argparse.Namespace) -> QuantizeRecipe | None:
    changes = given_as(options, {"quantize_scale_rate": "scale_learning_rate"})
    changes |= _rules_given_as(options, {"quantize_layers": "layers", "quantize_zeros": "zeros"})
    changed = _changed("--quantize", options.quantize, recipe, QuantizeRecipe, changes)
    if changed is not None:
        check_read_by(options, "quantize", changed.method, {"quantize_scale_rate": ("ttq",)})
    return changed


def _rules_given_as(options: argparse.Namespace, names: dict[str, str]) -> dict[str, Any]:
    """As `given_as`, of options whose text is a number or rules for layers."""
    return {name: parse_rules(text) for name, text in given_as(options, names).items()}


def _vectors(recipe: VectorRecipe | None, options: argparse.Namespace) -> VectorRecipe | None:
    changes = given_as(options, {"vector_stages": "stages", "vector_codebooks": "codebooks"})
    changes |= _rules_given_as(options, {"vector_length": "length", "codewords": "codewords"})
    if options.vectors == "rq" and recipe is None:
        changes.setdefault("stages", 2)
    return _changed("--vectors", options.vectors, recipe, VectorRecipe, changes)


def _factorize(recipe: FactorizeRecipe | None, options: argparse.Namespace) -> FactorizeRecipe | None:
    changes = given_as(options, {"factorize_saving": "least_saving"})
    if options.factorize is not None:
        recipe, changes["energy"] = recipe or FactorizeRecipe(), parse_rules(options.factorize)
    if recipe is None and changes:
        raise RecipeError("--factorize-saving: needs --factorize")
    return dataclasses.replace(recipe, **changes) if recipe is not None else None


def _remove(recipe: RemoveRecipe | None, options: argparse.Namespace) -> RemoveRecipe | None:
    changes = given_as(options, {"remove_epochs": "epochs", "remove_learning_rate": "learning_rate"})
    if options.purify is not None:
        changes["purify"] = _purify(options.purify)
    if options.remove is not None:
        recipe = (recipe or RemoveRecipe()) if options.remove else None
    if recipe is None and changes:
        raise RecipeError(f"--remove: must be given with its options ({', '.join(changes)})")
    changed = dataclasses.replace(recipe, **changes) if recipe is not None else None
    if changed is not None and "learning_rate" in changes and not changed.epochs:
        raise RecipeError("--remove-learning-rate: needs --remove-epochs above 0")
    return changed


def _purify(text: str) -> PurifyRecipe:
    try:
        column, emptiness, channel, weakest = (float(number) for number in text.split(","))
    except ValueError:
        raise RecipeError(f'--purify "{text}", must be four numbers with commas between') from None
    return PurifyRecipe(column, emptiness, channel, weakest)


def _changed(flag: str, method: str | None, recipe: Any, kind: type, changes: dict[str, Any]) -> Any:
    """A recipe of that kind with the changes; None where there is none to change."""
    if method is not None:
        recipe, changes = recipe or kind(method=method, **changes), {"method": method, **changes}
    if recipe is None and changes:
        raise RecipeError(f"{flag}: must be given with its options ({', '.join(changes)})")
    return dataclasses.replace(recipe, **changes) if recipe is not None else None
