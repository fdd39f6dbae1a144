"""Which runs a sweep has, which are done, and which may run together."""

import dataclasses
import json
from pathlib import Path

import pytest

from compressor.errors import RecipeError
from compressor.experiments import EXPERIMENTS
from compressor.experiments.experiment import Experiment
from compressor.experiments.runner import Places
from compressor.experiments.sweep import Outcome, is_done, plan_sweep, record_of, run_in_turn, startable
from tests.compressor.experiments.tiny import tiny_experiment


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places("data", tmp_path / "runs", tmp_path / "store", tmp_path / "records")


def runs(plan: list[Experiment]) -> list[str]:
    return [experiment.run_name() for experiment in plan]


def test_everything_declared_is_planned_at_its_own_seeds() -> None:
    plan = plan_sweep([], [], [], [])
    assert len(plan) == sum(len(experiment.seeds) for experiment in EXPERIMENTS.values())
    assert all(len(experiment.seeds) == 1 for experiment in plan)


def test_networks_tiers_and_seeds_choose() -> None:
    assert runs(plan_sweep([], ["resnet20", "lenet5"], ["stretch"], [7, 8, 7])) == [
        "lenet5-stretch-seed7",
        "lenet5-stretch-seed8",
        "resnet20-stretch-seed7",
        "resnet20-stretch-seed8",
    ]


def test_a_name_given_twice_is_planned_once() -> None:
    assert runs(plan_sweep(["resnet56-must", "resnet56-must"], [], [], [])) == ["resnet56-must-seed0"]


def test_a_plan_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        plan_sweep(["lenet5-must"], ["resnet20"], [], [])
    assert str(caught.value) == "sweep: no experiment of networks ['resnet20'] and tiers [], must be one"


def test_a_run_is_done_when_its_record_is_there(places: Places) -> None:
    experiment = tiny_experiment().with_seed(4)
    path = record_of(experiment, places)
    assert not is_done(experiment, places)
    path.parent.mkdir()
    for text, done in (("{", False), ("[]", False), ('{"experiment": "other"}', False)):
        path.write_text(text)
        assert is_done(experiment, places) is done
    path.write_text(json.dumps({"experiment": "tiny"}))
    assert is_done(experiment, places)
    assert not is_done(tiny_experiment().with_seed(5), places)


def test_two_that_need_the_same_dense_network_do_not_train_it_at_once(places: Places) -> None:
    first = tiny_experiment().with_seed(1)
    second = dataclasses.replace(first, name="second")
    other = tiny_experiment().with_seed(2)
    assert runs(startable([first, second, other], [], places)) == ["tiny-seed1", "tiny-seed2"]
    assert runs(startable([second, other], [first], places)) == ["tiny-seed2"]
    result = places.runs / "dense" / first.dense_name() / "network.safetensors"
    result.parent.mkdir(parents=True)
    result.touch()
    assert runs(startable([second, other], [first], places)) == ["second-seed1", "tiny-seed2"]


def test_in_turn_every_run_is_told_of_as_it_ends() -> None:
    plan = [tiny_experiment().with_seed(seed) for seed in (1, 2)]
    told: list[Outcome] = []
    outcomes = run_in_turn(plan, lambda experiment: Outcome(experiment.run_name(), None, "failed"), told.append)
    assert told == outcomes == [Outcome("tiny-seed1", None, "failed"), Outcome("tiny-seed2", None, "failed")]
