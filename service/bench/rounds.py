"""How often and in what order engines run, and what is told of the times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import BenchError


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is measured.

    Attributes:
        rounds: how often every engine has its turn: A B C A B C ...
        turn_s: how long a turn lasts, warm-up left out; an engine runs at least once in it.
        warm_up_s: how long each turn warms up, at least once.

    Raises:
        BenchError: a value is outside its range.
    """

    rounds: int = 5
    turn_s: float = 0.15
    warm_up_s: float = 0.02

    def __post_init__(self) -> None:
        for name, value, low, high in (("rounds", self.rounds, 1, 1000), ("turn_s", self.turn_s, 0.001, 600.0)):
            if not low <= value <= high:
                raise BenchError(f"{name} {value}, must be in {low}..{high}")

    def warm_up_of(self, samples: Sequence[float]) -> float:
        """Seconds of the next turn's warm-up, after these samples of the turns before; 0 is none.

        An engine that takes longer than a turn for one run warms up in the first round only: what the others have left
        in the caches since is a small part of such a run.
        """
        return 0.0 if samples and min(samples) > self.turn_s else self.warm_up_s


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of many runs. The spread is the quartiles, between which half of the runs lie."""

    runs: int
    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    best_s: float


def summarize(samples: Sequence[float]) -> Timing:
    """Of one sample at least; quartiles are interpolated between samples."""
    best, lower, median, upper = (float(value) for value in np.percentile(samples, (0, 25, 50, 75)))
    return Timing(len(samples), median, lower, upper, best)


def take_turns(
    names: Sequence[str], rounds: int, turn: Callable[[str, Sequence[float]], Sequence[float] | None]
) -> Mapping[str, list[float]]:
    """Samples of each name, `rounds` turns interleaved.

    Args:
        turn: gets a name and its samples so far, and gives more, or None where it failed: that was its last turn.
    """
    samples: dict[str, list[float]] = {name: [] for name in names}
    playing = list(names)
    for _ in range(rounds):
        for name in tuple(playing):
            more = turn(name, samples[name])
            if more is None:
                playing.remove(name)
            else:
                samples[name] += more
    return samples
