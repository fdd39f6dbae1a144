"""The experiments: what each trains, how it compresses, and which published or promised sizes it is meant to reach."""

from compressor.errors import RecipeError
from compressor.experiments.declared import EXPERIMENTS
from compressor.experiments.experiment import Experiment
from compressor.experiments.methods import METHODS
from compressor.experiments.targets import ROWS, TIERS, Row, Target

__all__ = ["ALL", "EXPERIMENTS", "METHODS", "ROWS", "TIERS", "Experiment", "Row", "Target", "experiment_named"]

ALL: dict[str, Experiment] = EXPERIMENTS | METHODS


def experiment_named(name: str) -> Experiment:
    """An experiment of `ALL`.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in ALL:
        raise RecipeError(f"experiment {name}: unknown, must be one of {', '.join(ALL)}")
    return ALL[name]
