"""Train weights of two or three values: gradients at the quantized point move dense weights behind it."""

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.layer_rules import resolve_rules
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.quantization.recipe import QuantizeRecipe
from compressor.quantization.signs import (
    binary_signs,
    one_scale,
    sparse_signs,
    ttq_signs,
    twn_signs,
    two_scales,
    valued,
)

_SIGNS = {"binary": binary_signs, "twn": twn_signs, "ttq": ttq_signs}
CLIP = 1.0  # of latent binary weights, which would else drift off and never change sign (Courbariaux et al. 2015, 2.4)
LEAST_SCALE = 1e-4  # a trained scale that crossed zero would swap the signs' meaning


class StraightThrough:
    """A training constraint: the network always holds quantized weights, the optimiser moves latent ones.

    A gradient at a quantized weight counts for its latent weight as it is (the straight-through estimator); `ttq`
    multiplies it by the scale of the weight's sign, and moves the scales by the mean gradient of their members
    (Zhu et al. 2017, equations 7 and 8).
    """

    def __init__(self, network: nn.Module, recipe: QuantizeRecipe) -> None:
        weights = prunable_parameters(network)
        chosen = resolve_rules(recipe.layers, [layer_of(name) for name in weights])
        self.recipe = recipe
        self.latent = {n: w.detach().clone() for n, w in weights.items() if chosen[layer_of(n)]}
        if not self.latent:
            raise RecipeError(f"layers: {recipe.layers}, must leave one of {len(weights)} to quantize")
        self._zeros = resolve_rules(recipe.zeros, list(chosen)) if recipe.zeros is not None else None
        self.signs = {name: self._signs_of(name, weight) for name, weight in self.latent.items()}
        scale = two_scales if recipe.method == "ttq" else one_scale
        self.scales = {name: scale(weight, self.signs[name]) for name, weight in self.latent.items()}
        self._slopes: dict[str, Tensor] = {}  # of the scales, from before the step to after it
        self.project(dict(weights))

    @torch.no_grad()
    def before_step(self, network: nn.Module) -> None:
        weights = prunable_parameters(network)
        for name, latent in self.latent.items():
            weight = weights[name]
            if weight.grad is not None and self.recipe.method == "ttq":
                self._slopes[name] = _scale_gradient(weight.grad, self.signs[name])
                worth = valued(self.signs[name], self.scales[name]).abs()
                weight.grad.mul_(torch.where(self.signs[name] == 0, 1.0, worth))
            weight.copy_(latent)

    @torch.no_grad()
    def after_step(self, network: nn.Module, progress: float) -> None:
        weights = prunable_parameters(network)
        for name, latent in self.latent.items():
            latent.copy_(weights[name])
            if self.recipe.method == "binary":
                latent.clamp_(-CLIP, CLIP)
            self.signs[name] = self._signs_of(name, latent)
            self._rescale(name, progress)
        self.project(dict(weights))

    def _signs_of(self, name: str, latent: Tensor) -> Tensor:
        if self._zeros is None:
            return _SIGNS[self.recipe.method](latent)
        return sparse_signs(latent, self._zeros[layer_of(name)])

    def _rescale(self, name: str, progress: float) -> None:
        if self.recipe.method != "ttq":
            self.scales[name] = one_scale(self.latent[name], self.signs[name])
        elif name in self._slopes:
            rate = self.recipe.scale_learning_rate * (1 - progress)
            self.scales[name] = (self.scales[name] - rate * self._slopes.pop(name)).clamp_min(LEAST_SCALE)

    @torch.no_grad()
    def project(self, tensors: dict[str, Tensor]) -> None:
        for name, signs in self.signs.items():
            tensors[name].copy_(valued(signs, self.scales[name]))

    def state(self) -> dict[str, Tensor]:
        state = {f"latent.{name}": weight for name, weight in self.latent.items()}
        state |= {f"signs.{name}": signs for name, signs in self.signs.items()}
        return state | {f"scales.{name}": scales for name, scales in self.scales.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name, weight in self.latent.items():
            weight.copy_(state[f"latent.{name}"])
            self.signs[name].copy_(state[f"signs.{name}"])
            self.scales[name].copy_(state[f"scales.{name}"])


def _scale_gradient(gradient: Tensor, signs: Tensor) -> Tensor:
    """The mean of dL/dscale over the members of each sign, float64 [2]; dw/dscale is -1 on the negative side."""
    sides = ((signs < 0, -1.0), (signs > 0, 1.0))
    means = [slope * gradient[side].double().sum() / max(int(side.sum()), 1) for side, slope in sides]
    return torch.stack(means)
