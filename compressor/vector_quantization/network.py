"""Give every vector of a network its codewords."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.errors import RecipeError
from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.vector_quantization.groups import VectorAssignment, VectorGroup
from compressor.vector_quantization.kmeans import fit_codewords, nearest
from compressor.vector_quantization.recipe import KERNEL, VectorRecipe

REFINEMENTS = 8  # rounds in which each stage's codewords are chosen and fitted anew, given the others'
FLOOR = 1e-3  # of the mean importance: no vector is of none


@torch.no_grad()
def quantize_vectors(
    network: nn.Module, recipe: VectorRecipe, moments: Mapping[str, Tensor], seed: int
) -> VectorAssignment:
    """Replace the vectors of every layer that the recipe names by sums of codewords, in place.

    Vectors that are all zero stay so and are no one's members.

    Args:
        moments: `input_moments` of the network.

    Raises:
        RecipeError: a layer's rows cannot be cut into vectors of the length asked for, or no layer is named.
    """
    weights = prunable_parameters(network)
    groups = []
    for length, count, layers in _groups(weights, recipe):
        alive = tuple(weights[name].reshape(-1, length).any(1) for name in layers)
        importance = torch.cat(
            [_importance(weights[name], moments[name], length)[kept] for name, kept in zip(layers, alive, strict=True)]
        )
        members = [weights[name].reshape(-1, length)[kept] for name, kept in zip(layers, alive, strict=True)]
        codes, codewords = _encode(torch.cat(members).double(), importance, count, recipe.stages, seed)
        groups.append(VectorGroup(length, layers, alive, codes, codewords.shape[1]))
        groups[-1].write(weights, groups[-1].sums(codewords))
    return VectorAssignment(tuple(groups))


def check_vectors(network: nn.Module, recipe: VectorRecipe) -> None:
    """See before any training that the recipe fits the network's layers.

    Raises:
        RecipeError: a length does not divide a layer's rows, or no layer takes codewords.
    """
    _groups(prunable_parameters(network), recipe)


def _groups(weights: Mapping[str, Tensor], recipe: VectorRecipe) -> list[tuple[int, int, tuple[str, ...]]]:
    """(length, codewords, layers) of each group."""
    layers = [layer_of(name) for name in weights]
    lengths = resolve_rules(recipe.length or (("*", KERNEL),), layers)
    counts = resolve_rules(recipe.codewords, layers)
    found: dict[tuple[int, int, str], list[str]] = {}
    for name, weight in weights.items():
        length, count = int(lengths[layer_of(name)]), int(counts[layer_of(name)])
        if not count or not weight.any():
            continue
        row = weight[0].numel()
        if row % length:
            if recipe.length is None:
                continue
            raise RecipeError(f"length: {layer_of(name)} = {length}, must divide its rows of {row} weights")
        found.setdefault((length, count, "" if recipe.codebooks == "network" else name), []).append(name)
    if not found and recipe.length is None and any(counts.values()):
        raise RecipeError(f"length: {KERNEL} where none is given, must divide the rows of a layer that takes codewords")
    if not found:
        raise RecipeError(f"codewords: {recipe.codewords}, must be above 0 for one of {len(weights)} layers")
    return [(length, count, tuple(names)) for (length, count, _), names in found.items()]


def _importance(weight: Tensor, moments: Tensor, length: int) -> Tensor:
    """float64 [vectors]: the mean over a vector's elements of the moments of their inputs."""
    outputs, inputs = weight.shape[:2]
    groups = len(moments) // inputs  # of a grouped convolution: its filters see some of the channels each
    by_input = moments.reshape(groups, inputs).repeat_interleave(outputs // groups, dim=0)
    elements = by_input.reshape(outputs, inputs, *[1] * (weight.ndim - 2)).expand(weight.shape)
    mean = elements.reshape(-1, length).mean(1)
    return mean.clamp_min(FLOOR * float(moments.mean())).clamp_min(torch.finfo(torch.float64).tiny)


def _encode(vectors: Tensor, importance: Tensor, count: int, stages: int, seed: int) -> tuple[Tensor, Tensor]:
    """Codes int64 [stages, vectors], codewords [stages, codewords, length]: each stage takes what the others left."""
    rest, chosen, books = vectors.clone(), [], []
    for stage in range(stages):
        books.append(fit_codewords(rest, importance, count, seed + stage))
        chosen.append(nearest(rest, books[-1]))
        rest -= books[-1][chosen[-1]]
    most = max(len(book) for book in books)
    codes, codewords = (
        torch.stack(chosen),
        torch.stack([functional.pad(book, (0, 0, 0, most - len(book))) for book in books]),
    )
    for _ in range(REFINEMENTS if stages > 1 else 0):
        _refine(vectors, importance, codes, codewords)
    return codes, codewords


def _refine(vectors: Tensor, importance: Tensor, codes: Tensor, codewords: Tensor) -> None:
    """One round over the stages: each fits its codewords to what the others leave, and its vectors choose anew."""
    for stage, book in enumerate(codewords):
        sums = [words[mine] for words, mine in zip(codewords, codes, strict=True)]
        rest = vectors - torch.stack(sums).sum(0) + sums[stage]
        mass = torch.bincount(codes[stage], weights=importance, minlength=len(book))
        columns = [torch.bincount(codes[stage], weights=importance * column, minlength=len(book)) for column in rest.T]
        used = mass > 0
        book[used] = torch.stack(columns, 1)[used] / mass[used, None]
        codes[stage] = nearest(rest, book)
