import dataclasses
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.experiments import ALL, EXPERIMENTS, ROWS, experiment_named
from compressor.experiments.experiment import Experiment
from tests.compressor.experiments.tiny import tiny_experiment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": None}, "must have either a recipe to train by or weights"),
        ({"weights": Path("w")}, "must have either a recipe to train by or weights"),
        ({"tier": "hopes"}, r"tier 'hopes', seeds \(0,\), must have both"),
        ({"seeds": ()}, r"tier 'must', seeds \(\), must have both"),
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"^experiment tiny: {message}$"):
        dataclasses.replace(tiny_experiment(), **changes)


def test_what_training_held_out_compressing_must_hold_out() -> None:
    tiny = tiny_experiment()
    with pytest.raises(RecipeError, match="holdout 30 to train and 40 to compress, must be one"):
        dataclasses.replace(tiny, compress=tiny.compress.with_both(holdout=40))


def test_a_seed_is_that_of_every_recipe_and_of_the_names() -> None:
    seeded = tiny_experiment().with_seed(7)
    assert seeded.train is not None
    assert (seeded.train.seed, seeded.compress.seed, seeded.seeds) == (7, 7, (7,))
    assert seeded.run_name() == "tiny-seed7"
    assert seeded.dense_name().endswith("-seed7")


def test_experiments_that_begin_alike_share_their_dense_network() -> None:
    trained = {name: experiment for name, experiment in EXPERIMENTS.items() if experiment.train is not None}
    names = {name: experiment.with_seed(0).dense_name() for name, experiment in trained.items()}
    assert names["resnet56-must"] == names["resnet56-stretch"] != names["resnet20-stretch"]
    assert len(set(names.values())) == len(ROWS)


def test_a_smoke_run_is_one_epoch_of_everything() -> None:
    for experiment in ALL.values():
        smoke = experiment.smoke()
        trainings = [*filter(None, [smoke.train]), smoke.compress.retrain, smoke.compress.centroids]
        assert {(recipe.epochs, recipe.compile) for recipe in trainings} == {(1, False)}
        assert smoke.name == f"{experiment.name}-smoke"
        assert smoke.compress.remove is None or smoke.compress.remove.epochs == 1


def test_every_target_of_every_row_has_its_experiment() -> None:
    declared = {(experiment.network, experiment.tier) for experiment in EXPERIMENTS.values()}
    assert declared == {(row.network, tier) for row in ROWS for tier in row.targets}
    assert all(experiment.name == name for name, experiment in EXPERIMENTS.items())
    assert EXPERIMENTS["resnet20-must"].seeds == (0, 1, 2)


def test_an_experiment_is_found_by_name_or_refused() -> None:
    assert isinstance(experiment_named("lenet5-must"), Experiment)
    with pytest.raises(RecipeError, match="^experiment lenet9: unknown, must be one of lenet300-must, "):
        experiment_named("lenet9")
