"""Training that is interrupted and resumed, beside the same training without the interruption."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor, nn

from compressor.training.constraint import Constraint
from compressor.training.recipe import TrainRecipe
from compressor.training.trainer import Trainer
from tests.compressor.blobs import TINY_PREPROCESSING, draw, same_state


class Interrupted(Exception):
    """Stands for a kill."""


class Interrupting:
    """A constraint that ends training after so many steps, and otherwise is the one it wraps."""

    def __init__(self, inner: Constraint, steps: int) -> None:
        self.inner = inner
        self.steps = steps

    def before_step(self, network: nn.Module) -> None:
        self.inner.before_step(network)

    def after_step(self, network: nn.Module, progress: float) -> None:
        self.inner.after_step(network, progress)
        self.steps -= 1
        if not self.steps:
            raise Interrupted

    def project(self, tensors: dict[str, Tensor]) -> None:
        self.inner.project(tensors)

    def state(self) -> dict[str, Tensor]:
        return self.inner.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.inner.restore(state)


def check_resumed_run_repeats(
    folder: Path,
    recipe: TrainRecipe,
    build: Callable[[], nn.Module],
    constrain: Callable[[nn.Module], Constraint],
    steps: int,
) -> Constraint:
    """Kill a run after `steps` steps, resume it, and compare with a run that was left alone; return its constraint."""
    images, holdout = draw(96, 1), draw(30, 2)

    def trainer(constraint: Constraint, network: nn.Module, checkpoint: Path | None) -> Trainer:
        return Trainer(
            network, TINY_PREPROCESSING, recipe, constraint=constraint, checkpoint=checkpoint, progress=False
        )

    network = build()
    whole = trainer(constrain(network), network, None)
    expected = whole.fit(images, holdout)
    killed = build()
    with pytest.raises(Interrupted):
        trainer(Interrupting(constrain(killed), steps), killed, folder / "run").fit(images, holdout)
    assert (folder / "run").exists(), "killed before the first checkpoint: nothing is resumed"
    again = build()
    resumed = trainer(constrain(again), again, folder / "run")
    assert 0 < resumed.epoch < recipe.epochs
    assert same_state(resumed.fit(images, holdout), expected)
    assert same_state(resumed.network, whole.network)
    assert resumed.history == whole.history
    return resumed.constraint
