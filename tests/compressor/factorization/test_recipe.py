"""What a factorization can be told."""

import pytest

from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from tests.compressor.toys import exactly


def test_an_energy_above_one_is_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("energy: * = 1.5, must be in 0.0..1.0")):
        FactorizeRecipe(energy=(("*", 1.5),))


def test_a_saving_of_everything_is_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("least_saving = 1.0, must be in [0, 1)")):
        FactorizeRecipe(least_saving=1.0)
