import dataclasses
import math
from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.training.recipe import SmallPhase, TrainRecipe
from tests.compressor.toys import exactly


@pytest.mark.parametrize(
    ("name", "value", "low", "high"),
    [
        ("epochs", 0, 1, 100_000),
        ("epochs", 100_001, 1, 100_000),
        ("batch_size", 1, 2, 1 << 20),
        ("learning_rate", 0.0, 1e-12, 100.0),
        ("learning_rate", 101.0, 1e-12, 100.0),
        ("learning_rate", float("nan"), 1e-12, 100.0),
        ("momentum", 1.0, 0.0, 0.9999),
        ("weight_decay", -0.1, 0.0, 1.0),
        ("label_smoothing", 1.0, 0.0, 0.99),
        ("warmup", 1.0, 0.0, 0.99),
        ("ema_decay", 1.0, 0.0, 0.999999),
        ("holdout", 0, 1, 1 << 40),
        ("teacher_share", 1.1, 0.0, 1.0),
        ("temperature", 0.0, 1e-3, 1e3),
        ("temperature", float("inf"), 1e-3, 1e3),
        ("seed", -1, 0, (1 << 31) - 1),
        ("seed", 1 << 31, 0, (1 << 31) - 1),
    ],
)
def test_a_number_outside_its_range_is_refused(name: str, value: float, low: float, high: float) -> None:
    with pytest.raises(RecipeError, match=exactly(f"{name} = {value}, must be in {low}..{high}")):
        TrainRecipe(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "step"}, "schedule = 'step', must be one of one-cycle, cosine"),
        ({"precision": "fp16"}, "precision = 'fp16', must be one of fp32, bf16"),
    ],
)
def test_an_unknown_word_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=exactly(message)):
        TrainRecipe(**change)


def test_the_ends_of_every_range_are_allowed() -> None:
    low: dict[str, Any] = {"epochs": 1, "batch_size": 2, "learning_rate": 1e-12, "momentum": 0.0, "weight_decay": 0.0}
    low |= {"label_smoothing": 0.0, "warmup": 0.0, "ema_decay": 0.0, "holdout": 1, "teacher_share": 0.0, "seed": 0}
    high: dict[str, Any] = {"epochs": 100_000, "learning_rate": 100.0, "momentum": 0.9999, "weight_decay": 1.0}
    high |= {"label_smoothing": 0.99, "warmup": 0.99, "ema_decay": 0.999999, "teacher_share": 1.0, "temperature": 1e3}
    for values in (low, high):
        recipe = dataclasses.asdict(TrainRecipe(**values))
        assert {name: recipe[name] for name in values} == values


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.0), (0.1, 0.2), (0.2, 0.4), (0.4, 0.3), (0.6, 0.2), (0.8, 0.1), (1.0, 0.0)]
)
def test_one_cycle_rises_and_falls_along_straight_lines(progress: float, expected: float) -> None:
    recipe = TrainRecipe(learning_rate=0.4, warmup=0.2)
    assert recipe.learning_rate_at(progress) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, 0.0),
        (0.1, 0.2),
        (0.2, 0.4),
        (0.4, 0.2 + 0.1 * math.sqrt(2)),
        (0.6, 0.2),
        (0.8, 0.2 - 0.1 * 2**0.5),
        (1, 0),
    ],
)
def test_cosine_falls_along_half_a_cosine(progress: float, expected: float) -> None:
    recipe = TrainRecipe(learning_rate=0.4, warmup=0.2, schedule="cosine")
    assert recipe.learning_rate_at(progress) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_without_warmup_training_starts_at_the_peak(schedule: str) -> None:
    recipe = TrainRecipe(learning_rate=0.4, warmup=0.0, schedule=schedule)
    assert recipe.learning_rate_at(0.0) == pytest.approx(0.4)
    assert recipe.learning_rate_at(0.5) == pytest.approx(0.2)


def test_only_the_small_phase_shrinks_pictures() -> None:
    recipe = TrainRecipe(small_phase=SmallPhase(epochs=2, side=24))
    assert [recipe.side_at(epoch) for epoch in range(4)] == [24, 24, None, None]
    assert TrainRecipe().side_at(0) is None


def test_a_small_phase_without_pixels_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^small_phase side = 0, must be in 1\.\.4096$"):
        SmallPhase(1, 0)
