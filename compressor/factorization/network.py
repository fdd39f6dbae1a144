"""Replace a network's layers by their factors, in place, where that saves weights."""

from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from compressor.factorization.factors import rank_by_energy, svd_factors, tucker2_factors, tucker2_ranks
from compressor.factorization.recipe import FactorizeRecipe
from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import layer_of, prunable_parameters


@dataclass(frozen=True, slots=True)
class FactorizedLayer:
    """What became of one layer.

    Attributes:
        ranks: (rank,) of a matrix or a 1x1 convolution, (output rank, input rank) of a larger kernel.
        weights_before, weights_after: how many the layer had, and its factors have.
    """

    layer: str
    ranks: tuple[int, ...]
    weights_before: int
    weights_after: int


@torch.no_grad()
def factorize_network(network: nn.Module, recipe: FactorizeRecipe) -> list[FactorizedLayer]:
    """Split convolutions and linear layers into factors; grouped convolutions and layers used twice stay as they are.

    Returns:
        The layers that were replaced, in the network's order; a factor's name is the layer's with `.0`, `.1`, `.2`.
    """
    layers = [layer_of(name) for name in prunable_parameters(network)]
    energies = resolve_rules(recipe.energy, layers)
    replaced = []
    for layer in layers:
        module = network.get_submodule(layer)
        if layer and energies[layer] < 1 and _can_be_split(module) and _places(network, module) == 1:
            factors, ranks = _factors_of(module, energies[layer])
            before, after = _weights_of(module), sum(_weights_of(factor) for factor in factors)
            if after <= (1 - recipe.least_saving) * before:
                _replace(network, layer, nn.Sequential(*factors))
                replaced.append(FactorizedLayer(layer, ranks, before, after))
    return replaced


def _can_be_split(module: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _places(network: nn.Module, module: nn.Module) -> int:
    """How many names a module has; the factors of one that has two would no longer be shared."""
    return sum(other is module for _, other in network.named_modules(remove_duplicate=False))


def _weights_of(module: nn.Module) -> int:
    return module.get_parameter("weight").numel()


def _replace(network: nn.Module, layer: str, factors: nn.Module) -> None:
    parent, _, name = layer.rpartition(".")
    setattr(network.get_submodule(parent), name, factors)


def _factors_of(module: nn.Linear | nn.Conv2d, energy: float) -> tuple[list[nn.Module], tuple[int, ...]]:
    weight = module.weight.detach()
    if isinstance(module, nn.Linear):
        rank = rank_by_energy(weight, energy)
        return _linear_pair(module, svd_factors(weight, rank)), (rank,)
    if module.kernel_size == (1, 1):
        rank = rank_by_energy(weight.flatten(1), energy)
        last, first = svd_factors(weight.flatten(1), rank)
        return [_like(module, first[:, :, None, None], bias=None), _pointwise(last, module.bias)], (rank,)
    ranks = tucker2_ranks(weight, energy)
    last, core, first = tucker2_factors(weight, ranks)
    return [_pointwise(first, None), _like(module, core, bias=None), _pointwise(last, module.bias)], ranks


def _linear_pair(module: nn.Linear, factors: tuple[Tensor, Tensor]) -> list[nn.Module]:
    last, first = factors
    inner = nn.Linear(module.in_features, len(first), bias=False)
    outer = nn.Linear(len(first), module.out_features, bias=module.bias is not None)
    return [_filled(inner, first, None), _filled(outer, last, module.bias)]


def _pointwise(matrix: Tensor, bias: Tensor | None) -> nn.Module:
    outputs, inputs = matrix.shape
    return _filled(nn.Conv2d(inputs, outputs, 1, bias=bias is not None), matrix[:, :, None, None], bias)


def _like(module: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A convolution that steps over the picture as `module` does; the 1x1 ones around it do not move."""
    outputs, inputs = weight.shape[:2]
    made = nn.Conv2d(
        inputs,
        outputs,
        module.kernel_size,  # type: ignore[arg-type]
        module.stride,  # type: ignore[arg-type]
        module.padding,  # type: ignore[arg-type]
        module.dilation,  # type: ignore[arg-type]
        bias=bias is not None,
        padding_mode=module.padding_mode,
    )
    return _filled(made, weight, bias)


def _filled(made: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Module:
    made.to(weight.device)
    made.weight.copy_(weight)
    if bias is not None and made.bias is not None:
        made.bias.copy_(bias)
    return made
