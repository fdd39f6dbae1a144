"""Pruning by a threshold per layer: quality times the standard deviation of its weights (Han et al. 2015)."""

from torch import Tensor, nn

from compressor.layer_rules import LayerRules, resolve_rules
from compressor.pruning.masks import Masks, layer_of, prunable_parameters


def threshold_mask(weight: Tensor, quality: float) -> Tensor:
    """True where |w| >= quality * std, taken over the surviving weights; the largest weight always survives."""
    magnitudes = weight.detach().abs()
    alive = weight.detach()[magnitudes > 0]
    deviation = float(alive.double().std(correction=0)) if alive.numel() else 0.0
    border = min(quality * deviation, float(magnitudes.max()))
    return (magnitudes >= border) & (magnitudes > 0)


def threshold_masks(network: nn.Module, quality: LayerRules, scale: float = 1.0) -> Masks:
    """Masks of every prunable weight, with the quality of its layer times `scale`."""
    weights = prunable_parameters(network)
    by_layer = resolve_rules(quality, [layer_of(name) for name in weights])
    return {name: threshold_mask(weight, by_layer[layer_of(name)] * scale) for name, weight in weights.items()}
