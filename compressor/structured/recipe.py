"""The hyper-parameters of structured pruning."""

from dataclasses import dataclass

from compressor.errors import RecipeError
from compressor.layer_rules import LayerRules, check_rules
from compressor.structured.groups import KINDS

METHODS = ("l1", "nisp", "sfp", "group-lasso", "admm", "fcf")
BLOCKS: LayerRules = (("first", 1.0), ("last", 1.0), ("*shortcut*", 1.0), ("*downsample*", 1.0), ("*", 0.5))


@dataclass(frozen=True, slots=True)
class StructuredRecipe:
    """Which groups of weights go, and how they are found.

    Attributes:
        method: `l1` (at once, by the sum of magnitudes: Li et al. 2017), `nisp` (at once, whatever `end` says, by
            importance propagated from the final responses: Yu et al. 2018; filters only), `sfp` (set to zero again and
            again, free to come back: He et al. 2018), `group-lasso` (SSL, Wen et al. 2016), `admm` (Ma et al. 2019) or
            `fcf` (factorized filters, Li et al. 2019; filters only).
        kinds: one round for each, in order: `filters`, `channels` or `columns`; what went stays away.
        kept: the share of each layer's groups that stays; 1 leaves a layer alone. A rule for one kind alone has its
            name before the pattern: `columns:conv2`.
        end: the share of the run after which the choice is made and only what is left trains.
        refresh_steps: sfp, admm: optimiser steps between two rounds of choosing.
        strength: group-lasso: weight of the sum of norms in the loss. admm, fcf: rho at the start.
        growth: admm: factor on rho at every round of choosing. fcf: at every step.
        limit: admm, fcf: the largest rho.
        mixing: fcf: weight of the constraint's gradient beside the loss's (alpha).
    """

    method: str = "admm"
    kinds: tuple[str, ...] = ("filters",)
    kept: LayerRules = BLOCKS
    end: float = 0.4
    refresh_steps: int = 200
    strength: float = 0.01
    growth: float = 1.01
    limit: float = 6.0
    mixing: float = 0.99

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RecipeError(f"structured method {self.method!r}, must be one of {', '.join(METHODS)}")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise RecipeError(f"kinds {self.kinds}, must be of {', '.join(KINDS)}")
        if self.method in {"fcf", "nisp"} and self.kinds != ("filters",):
            raise RecipeError(f"kinds {self.kinds}, must be filters alone for {self.method}")
        check_rules("kept", self.kept, 0.0, 1.0)
        for pattern, _ in self.kept:
            kind, colon, _ = pattern.partition(":")
            if colon and kind not in self.kinds:
                raise RecipeError(f"kept: {pattern}, must be for one of the kinds {', '.join(self.kinds)}")
        if not 0 <= self.end <= 0.99:
            raise RecipeError(f"end = {self.end}, must be in 0..0.99")
        if self.refresh_steps < 1:
            raise RecipeError(f"refresh_steps = {self.refresh_steps}, must be at least 1")
        if not 0 < self.strength <= self.limit or self.growth < 1:
            raise RecipeError(
                f"strength = {self.strength}, growth = {self.growth}, limit = {self.limit}, "
                "must be 0 < strength <= limit and growth >= 1"
            )
        if not 0 <= self.mixing <= 1:
            raise RecipeError(f"mixing = {self.mixing}, must be in 0..1")

    def kept_of(self, kind: str) -> LayerRules:
        """The rules for one kind of groups, without its name."""
        own = f"{kind}:"
        return tuple((name.removeprefix(own), share) for name, share in self.kept if ":" not in name.removeprefix(own))
