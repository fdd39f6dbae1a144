"""The hyper-parameters of pruning."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules
from compressor.pruning.magnitude import CubicSchedule
from compressor.pruning.scores import SCORES

METHODS = ("gradual", "threshold", "none")


@dataclass(frozen=True, slots=True)
class PruneRecipe:
    """How weights are chosen to go.

    Attributes:
        method: `gradual` prunes during one training run, `threshold` by q * std per layer before each of `rounds` runs;
            `none` leaves it to structure or quantization, or just retrains.
        sparsity: gradual: share of all convolution and linear weights that goes.
        begin, end: gradual: between which shares of the run sparsity rises; afterwards the mask is fixed.
        refresh_steps: gradual: optimiser steps between two choices of the mask.
        score: gradual: `magnitude`, `lamp`, or magnitude over what a weight costs, in `bytes` or `macs`.
        floors: gradual: the least density of each layer.
        quality: threshold: q of each layer.
        rounds: threshold: how often to prune and retrain.
    """

    method: str = "gradual"
    sparsity: float = 0.8
    begin: float = 0.0
    end: float = 0.6
    refresh_steps: int = 100
    score: str = "magnitude"
    floors: LayerRules = (("*", 0.02),)
    quality: LayerRules = (("*", 1.0),)
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RecipeError(f"pruning method {self.method!r}, must be one of {', '.join(METHODS)}")
        if self.score not in SCORES:
            raise RecipeError(f"pruning score {self.score!r}, must be one of {', '.join(SCORES)}")
        if self.refresh_steps < 1 or self.rounds < 1:
            raise RecipeError(f"refresh_steps = {self.refresh_steps}, rounds = {self.rounds}, must be at least 1")
        CubicSchedule(self.sparsity, self.begin, self.end)
        check_rules("floors", self.floors, 0.0, 1.0)
        check_rules("quality", self.quality, 0.0, 100.0)
