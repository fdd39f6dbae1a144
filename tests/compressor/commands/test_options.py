"""Options that several commands share."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.commands.options import (
    add_device,
    add_store,
    add_training,
    augmentation_of,
    changed_training,
    choose_device,
    given,
)
from compressor.data.augmentation import Augmentation
from compressor.errors import CompressorError, RecipeError
from compressor.training.recipe import SmallPhase, TrainRecipe


def training(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_training(parser)
    return parser.parse_args(arguments)


def device(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_device(parser)
    return parser.parse_args(arguments)


def test_without_options_a_recipe_stays_what_it_is() -> None:
    for recipe in (TrainRecipe(), TrainRecipe(small_phase=SmallPhase(3, 16), augmentation=Augmentation(1, False, 2))):
        assert changed_training(recipe, training()) == recipe


@pytest.mark.parametrize(
    ("option", "value", "field", "expected"),
    [
        ("--epochs", "3", "epochs", 3),
        ("--batch-size", "32", "batch_size", 32),
        ("--learning-rate", "0.01", "learning_rate", 0.01),
        ("--momentum", "0.8", "momentum", 0.8),
        ("--weight-decay", "0", "weight_decay", 0.0),
        ("--label-smoothing", "0.1", "label_smoothing", 0.1),
        ("--schedule", "cosine", "schedule", "cosine"),
        ("--warmup", "0", "warmup", 0.0),
        ("--ema-decay", "0", "ema_decay", 0.0),
        ("--holdout", "12", "holdout", 12),
        ("--precision", "bf16", "precision", "bf16"),
        ("--compile", None, "compile", True),
        ("--seed", "9", "seed", 9),
        ("--padding", "0", "augmentation", Augmentation(0, True, 0)),
        ("--no-flip", None, "augmentation", Augmentation(4, False, 0)),
        ("--cutout", "8", "augmentation", Augmentation(4, True, 8)),
        ("--mixup", "0.2", "augmentation", Augmentation(4, True, 0, 0.2)),
    ],
)
def test_each_option_changes_its_own_field(option: str, value: str | None, field: str, expected: Any) -> None:
    options = training(option) if value is None else training(option, value)
    assert getattr(TrainRecipe(), field) != expected
    assert changed_training(TrainRecipe(), options) == dataclasses.replace(TrainRecipe(), **{field: expected})


def test_mixup_can_be_turned_off_again() -> None:
    recipe = TrainRecipe(augmentation=Augmentation(mixup=0.2))
    assert changed_training(recipe, training("--mixup", "0")).augmentation.mixup == 0


def test_options_of_two_values_can_be_turned_off_again() -> None:
    recipe = TrainRecipe(compile=True, augmentation=Augmentation(flip=False))
    changed = changed_training(recipe, training("--no-compile", "--flip"))
    assert (changed.compile, changed.augmentation.flip) == (False, True)


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [
        (("--small-epochs", "3", "--small-side", "16"), None, SmallPhase(3, 16)),
        (("--small-epochs", "5"), SmallPhase(3, 16), SmallPhase(5, 16)),
        (("--small-side", "20"), SmallPhase(3, 16), SmallPhase(3, 20)),
        (("--small-epochs", "0"), SmallPhase(3, 16), None),
        (("--small-side", "20"), None, None),
    ],
)
def test_the_small_phase_is_made_changed_and_left_out(
    arguments: tuple[str, ...], before: SmallPhase | None, after: SmallPhase | None
) -> None:
    assert changed_training(TrainRecipe(small_phase=before), training(*arguments)).small_phase == after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--small-epochs", "3"), "--small-epochs 3 --small-side None: must both be positive"),
        (("--small-epochs", "3", "--small-side", "0"), "--small-epochs 3 --small-side 0: must both be positive"),
        (("--small-epochs", "-1", "--small-side", "9"), "--small-epochs -1 --small-side 9: must both be positive"),
        (("--seed", "-1"), "seed = -1, must be in 0..2147483647"),
        (("--padding", "-1"), "augmentation: padding -1, cutout 0, must not be negative"),
    ],
)
def test_options_outside_their_range_are_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed_training(TrainRecipe(), training(*arguments))
    assert str(caught.value) == message


def test_only_options_that_were_given_are_named() -> None:
    assert given(training("--seed", "0", "--no-flip"), ("seed", "flip", "epochs")) == {"seed": 0, "flip": False}


def test_colour_pictures_are_flipped_and_grey_ones_are_not() -> None:
    assert augmentation_of(3) == Augmentation(padding=4, flip=True)
    assert augmentation_of(1) == Augmentation(padding=2, flip=False)


def test_the_device_is_the_cpu_unless_asked_for_another() -> None:
    assert choose_device(device()) == torch.device("cpu")
    assert choose_device(device("--device", "cpu:0")) == torch.device("cpu:0")


def test_threads_are_set_for_torch() -> None:
    before = torch.get_num_threads()
    try:
        choose_device(device("--threads", "2"))
        assert torch.get_num_threads() == 2
        choose_device(device("--threads", "1"))
        assert torch.get_num_threads() == 1
        choose_device(device())
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["warp", "cuda:99", ""])
def test_a_device_that_is_not_here_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(CompressorError, match=f"^--device {name}: ") as caught:
        choose_device(device("--device", name))
    assert "\n" not in str(caught.value)


def test_no_threads_are_refused() -> None:
    with pytest.raises(CompressorError, match="^--threads 0, must be at least 1$"):
        choose_device(device("--threads", "0"))


def test_quiet_is_off_and_on() -> None:
    assert not device().quiet
    assert device("--quiet").quiet


@pytest.mark.parametrize("required", [True, False])
def test_the_store_is_the_option_else_the_environment(required: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def store(*arguments: str) -> Path | None:
        parser = argparse.ArgumentParser()
        add_store(parser, required=required)
        found: Path | None = parser.parse_args(arguments).store
        return found

    monkeypatch.setenv("CSRVE_STORE", "from/environment")
    assert store() == Path("from/environment")
    assert store("--store", "given") == Path("given")
    monkeypatch.delenv("CSRVE_STORE")
    assert store("--store", "given") == Path("given")
    if required:
        with pytest.raises(SystemExit):
            store()
    else:
        assert store() is None
