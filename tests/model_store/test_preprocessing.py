import math

import pytest

from model_store.errors import MalformedBundle
from model_store.preprocessing import Preprocessing
from model_store.wire import MAX_FLOAT32, MIN_FLOAT32


def test_the_input_is_channels_height_width() -> None:
    assert Preprocessing(32, 24, (0.5,) * 3, (0.25,) * 3).input_shape == (3, 32, 24)


@pytest.mark.parametrize("side", [1, 1024])
def test_both_ends_of_a_side_are_accepted(side: int) -> None:
    assert Preprocessing(side, side, (0.0,), (1.0,)).input_shape == (1, side, side)


@pytest.mark.parametrize("side", [0, -1, 1025])
def test_a_side_outside_the_limits_is_refused(side: int) -> None:
    with pytest.raises(MalformedBundle, match=rf"^preprocessing: height = {side}, must be in 1\.\.1024$"):
        Preprocessing(side, 1, (0.0,), (1.0,))
    with pytest.raises(MalformedBundle, match=rf"^preprocessing: width = {side}, must be in 1\.\.1024$"):
        Preprocessing(1, side, (0.0,), (1.0,))


@pytest.mark.parametrize(("means", "deviations"), [(0, 0), (5, 5), (3, 1), (1, 3)])
def test_statistics_are_one_a_channel(means: int, deviations: int) -> None:
    message = rf"^preprocessing: {means} means and {deviations} deviations, must be equally many, 1\.\.4$"
    with pytest.raises(MalformedBundle, match=message):
        Preprocessing(1, 1, (0.0,) * means, (1.0,) * deviations)


@pytest.mark.parametrize("mean", [math.nan, math.inf, -math.inf, 1e39, -1e39])
def test_a_mean_must_be_a_float32(mean: float) -> None:
    with pytest.raises(MalformedBundle, match=r"^preprocessing: mean .*, must be finite in float32$"):
        Preprocessing(1, 1, (mean,), (1.0,))


@pytest.mark.parametrize("deviation", [math.nan, math.inf, 0.0, -0.0, -1.0, 1e39, 1e-46])
def test_a_deviation_must_be_a_positive_float32(deviation: float) -> None:
    with pytest.raises(MalformedBundle, match=r"^preprocessing: std .*, must be finite and positive in float32$"):
        Preprocessing(1, 1, (0.0,), (deviation,))


def test_the_extremes_of_float32_are_accepted() -> None:
    assert Preprocessing(1, 1, (-MAX_FLOAT32, MAX_FLOAT32), (MIN_FLOAT32, MAX_FLOAT32)).channels == 2
