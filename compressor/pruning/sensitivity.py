"""How much accuracy each layer costs when it alone is pruned, and the thresholds that follow (Han et al. 2015, 3.5)."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.pruning.threshold import threshold_mask

LADDERS: dict[str, tuple[float, ...]] = {
    "quality": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5),
    "sparsity": (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98),
}
HIGHEST = {"quality": 100.0, "sparsity": 0.9999}
QUALITY_DIGITS = 6  # so that the quality that is printed prunes exactly what was measured


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps every layer is pruned by.

    Attributes:
        by: `quality` (thresholds of q * std) or `sparsity` (shares of the layer's weights).
        steps: ascending.
    """

    by: str
    steps: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.by not in LADDERS:
            raise RecipeError(f"ladder of {self.by!r}, must be one of {', '.join(LADDERS)}")
        rising = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not rising or not self.steps[0] > 0 or self.steps[-1] > HIGHEST[self.by]:
            raise RecipeError(f"ladder {self.steps}, must rise within 0..{HIGHEST[self.by]:g}, from above 0")

    def quality_of(self, weight: Tensor, step: float) -> float:
        """The q whose threshold is this step for these weights."""
        return step if self.by == "quality" else _quality_at(weight.detach(), step)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One layer pruned by one step, all others as they were.

    Attributes:
        quality: the q of q * std.
        sparsity: share of the layer's weights that is then zero.
        accuracy: on the holdout, without retraining.
    """

    layer: str
    step: float
    quality: float
    sparsity: float
    accuracy: float


def scan_sensitivity(
    network: nn.Module, ladder: Ladder, measure: Callable[[], float], done: Collection[tuple[str, float]] = ()
) -> Iterator[Measurement]:
    """Prune one layer at a time and measure; the network is as it was after each.

    Args:
        measure: the network's accuracy (0..1).
        done: (layer, step) that need not be measured again.
    """
    for name, weight in prunable_parameters(network).items():
        for step in ladder.steps:
            if (layer_of(name), step) not in done:
                yield _measured(layer_of(name), weight, step, ladder.quality_of(weight, step), measure)


@torch.no_grad()
def _measured(
    layer: str, weight: nn.Parameter, step: float, quality: float, measure: Callable[[], float]
) -> Measurement:
    before = weight.detach().clone()
    mask = threshold_mask(weight, quality)
    try:
        weight.mul_(mask)
        return Measurement(layer, step, quality, 1 - float(mask.double().mean()), measure())
    finally:
        weight.copy_(before)


def _quality_at(weight: Tensor, sparsity: float) -> float:
    magnitudes = weight.abs().flatten().double().sort().values
    deviation = float(weight[weight != 0].double().std(correction=0)) if bool(magnitudes[-1] > 0) else 0.0
    border = float(magnitudes[min(round(sparsity * len(magnitudes)), len(magnitudes) - 1)])
    return round(border / deviation, QUALITY_DIGITS) if deviation else 0.0


def qualities_within(measurements: Sequence[Measurement], least_accuracy: float) -> LayerRules:
    """For each layer the highest quality up to which every step measured stays at `least_accuracy`, or 0.

    Ends with a rule for '*', the lowest of them, so that `compress --quality` takes it.
    """
    rules = {}
    for layer in dict.fromkeys(measurement.layer for measurement in measurements):
        rules[layer] = 0.0
        for measurement in sorted((m for m in measurements if m.layer == layer), key=lambda m: m.step):
            if measurement.accuracy < least_accuracy:
                break
            rules[layer] = measurement.quality
    return (*rules.items(), ("*", min(rules.values(), default=0.0)))
