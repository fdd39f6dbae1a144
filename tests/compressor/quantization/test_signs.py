"""Signs and scales: thresholds as the papers have them, the scale that fits best."""

import pytest
import torch
from torch import Tensor

from compressor.quantization.signs import (
    binary_signs,
    one_scale,
    sparse_signs,
    ttq_signs,
    twn_signs,
    two_scales,
    valued,
)

WEIGHT = torch.tensor([[-4.0, -1.0, 0.0], [0.5, 2.0, 4.5]])  # mean magnitude 2


def test_binary_weights_have_a_sign_each_and_zero_is_positive() -> None:
    assert binary_signs(WEIGHT).tolist() == [[-1, -1, 1], [1, 1, 1]]


def test_twn_is_zero_up_to_seven_tenths_of_the_mean_magnitude() -> None:
    assert twn_signs(WEIGHT).tolist() == [[-1, 0, 0], [0, 1, 1]]
    assert twn_signs(torch.tensor([1.4, -2.6, 2.0])).tolist() == [0, -1, 1]


def test_ttq_is_zero_up_to_a_twentieth_of_the_largest_magnitude() -> None:
    assert ttq_signs(torch.tensor([20.0, 1.0, 1.01, -1.0, -1.01])).tolist() == [1, 0, 1, 0, -1]


@pytest.mark.parametrize(
    ("zeros", "signs"),
    [(0.0, [[-1, -1, 0], [1, 1, 1]]), (0.5, [[-1, 0, 0], [0, 1, 1]]), (0.99, [[0, 0, 0], [0, 0, 0]])],
)
def test_the_smallest_weights_are_the_share_of_zeros(zeros: float, signs: list[list[int]]) -> None:
    assert sparse_signs(WEIGHT, zeros).tolist() == signs


def test_weights_as_large_as_the_last_zero_are_zero_too() -> None:
    assert sparse_signs(torch.tensor([1.0, -1.0, 1.0, 2.0]), 0.25).tolist() == [0, 0, 0, 1]


def test_weights_of_zero_only_have_no_sign_and_the_scale_one() -> None:
    zeros = torch.zeros(2, 2)
    for signs in (twn_signs(zeros), ttq_signs(zeros)):
        assert not signs.any()
        assert one_scale(zeros, signs).tolist() == [1.0, 1.0]
        assert not valued(signs, one_scale(zeros, signs)).any()


def test_one_scale_fits_best_of_all() -> None:
    signs = twn_signs(WEIGHT)

    def error(scale: float) -> float:
        return float((WEIGHT - valued(signs, torch.tensor([scale, scale]))).square().sum())

    best = float(one_scale(WEIGHT, signs)[0])
    assert best == 3.5
    assert error(best) < min(error(best - 0.01), error(best + 0.01))


def test_two_scales_are_those_of_the_sides() -> None:
    signs: Tensor = twn_signs(WEIGHT)
    assert two_scales(WEIGHT, signs).tolist() == [4.0, 3.25]
    assert valued(signs, two_scales(WEIGHT, signs)).tolist() == [[-4.0, 0.0, 0.0], [0.0, 3.25, 3.25]]
