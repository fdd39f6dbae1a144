"""The estimate, term by term."""

import pytest

from compressor.energy import ASSUMPTIONS, energy_of
from compressor.operations import Operations


@pytest.mark.parametrize(
    ("operations", "weight_bytes", "arithmetic_pj", "sram_pj", "dram_pj"),
    [
        (Operations(multiply_adds=10), 0, 10 * 4.6, 10 * 2 * 5, 0),
        (Operations(additions=10), 0, 9, 0, 0),
        (Operations(comparisons=10), 0, 9, 0, 0),
        (Operations(divisions=10), 0, 37, 0, 0),
        (Operations(multiplications=10), 0, 37, 0, 0),
        (Operations(activations=10), 0, 0, 50, 0),
        (Operations(), 4000, 0, 0, 640_000),
    ],
)
def test_every_operation_and_every_word_has_its_price(
    operations: Operations, weight_bytes: int, arithmetic_pj: float, sram_pj: float, dram_pj: float
) -> None:
    energy = energy_of(operations, weight_bytes)
    assert energy.arithmetic_mj == pytest.approx(arithmetic_pj * 1e-9)
    assert energy.sram_mj == pytest.approx(sram_pj * 1e-9)
    assert energy.dram_mj == pytest.approx(dram_pj * 1e-9)
    assert energy.on_chip_mj == pytest.approx((arithmetic_pj + sram_pj) * 1e-9)
    assert energy.total_mj == pytest.approx((arithmetic_pj + sram_pj + dram_pj) * 1e-9)


def test_source_and_prices_are_named_where_the_estimate_is_printed() -> None:
    for said in ("Horowitz, ISSCC 2014", "0.9 pJ", "3.7 pJ", "SRAM 5 pJ", "DRAM 640 pJ", "estimate"):
        assert said in ASSUMPTIONS
