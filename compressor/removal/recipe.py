"""The hyper-parameters of removal."""

from dataclasses import dataclass

from compressor.errors import RecipeError


@dataclass(frozen=True, slots=True)
class PurifyRecipe:
    """Thresholds of network purification.

    Attributes:
        column: the least l2 norm of a column (one input at one tap, over all filters).
        emptiness: share of a channel's columns that are empty, above which the channel may go ...
        channel: ... where its columns' root mean square norm is below this.
        filter: the least l2 norm of a filter.
    """

    column: float = 0.04
    emptiness: float = 0.5
    channel: float = 0.3
    filter: float = 0.2

    def __post_init__(self) -> None:
        if min(self.column, self.channel, self.filter) < 0 or not 0 <= self.emptiness <= 1:
            raise RecipeError(f"purify: {self}, must not be negative, and the emptiness in 0..1")


@dataclass(frozen=True, slots=True)
class RemoveRecipe:
    """Dead filters and channels go, and what is left is trained once more.

    Attributes:
        epochs: of that training; 0 for none.
        learning_rate: its peak.
        purify: what is nearly empty is emptied first; None to take what is empty only.
    """

    epochs: int = 0
    learning_rate: float = 0.02
    purify: PurifyRecipe | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0 or not self.learning_rate > 0:
            raise RecipeError(f"remove: epochs = {self.epochs}, learning_rate = {self.learning_rate}, must be positive")
