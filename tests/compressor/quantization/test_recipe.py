"""What a quantization can be told."""

import pytest

from compressor.errors import RecipeError
from compressor.quantization.recipe import QuantizeRecipe
from tests.compressor.toys import exactly


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("quantization method 'sbn', must be one of binary, twn, ttq")):
        QuantizeRecipe(method="sbn")


def test_layers_are_quantized_or_not() -> None:
    with pytest.raises(RecipeError, match=exactly("layers: (('*', 0.5),), must be 0 or 1 each")):
        QuantizeRecipe(layers=(("*", 0.5),))


def test_zeros_are_a_share_and_binary_weights_have_none() -> None:
    with pytest.raises(RecipeError, match=exactly("zeros: * = 1.0, must be in 0.0..0.99")):
        QuantizeRecipe("twn", zeros=(("*", 1.0),))
    message = "zeros: (('*', 0.5),), must not be given for binary, which has none"
    with pytest.raises(RecipeError, match=exactly(message)):
        QuantizeRecipe("binary", zeros=(("*", 0.5),))


@pytest.mark.parametrize("rate", [0.0, 101.0])
def test_the_rate_of_the_scales_is_positive_and_not_absurd(rate: float) -> None:
    with pytest.raises(RecipeError, match=exactly(f"scale_learning_rate = {rate}, must be in (0, 100]")):
        QuantizeRecipe(scale_learning_rate=rate)
