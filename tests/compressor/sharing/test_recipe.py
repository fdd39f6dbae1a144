"""What a sharing recipe refuses."""

from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.sharing.recipe import ShareRecipe
from model_store.limits import MAX_CODEBOOK_ENTRIES


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"codebook_sizes": (("*", 0),)}, f"codebook_sizes: * = 0, must be in 1..{MAX_CODEBOOK_ENTRIES}"),
        (
            {"codebook_sizes": (("fc", MAX_CODEBOOK_ENTRIES + 1), ("*", 2))},
            f"codebook_sizes: fc = {MAX_CODEBOOK_ENTRIES + 1}, must be in 1..{MAX_CODEBOOK_ENTRIES}",
        ),
        ({"codebook_sizes": (("*", 2.5),)}, "codebook_sizes: (('*', 2.5),), must be whole numbers"),
        ({"codebook_sizes": (("fc", 2),)}, "codebook_sizes: (('fc', 2),), must end with a rule for '*'"),
        ({"initialisation": "plusplus"}, "initialisation 'plusplus', must be one of linear, density, forgy, aligned"),
        ({"gradient": "median"}, "gradient 'median', must be one of sum, layer-sum, mean"),
        ({"codebooks": "both"}, "codebooks 'both', must be one of layer, network"),
        (
            {"codebooks": "network", "codebook_sizes": (("first", 4), ("*", 8))},
            "codebook_sizes: (('first', 4), ('*', 8)), must be one size for one codebook",
        ),
        ({"entropy_penalty": -0.1}, "entropy_penalty = -0.1, must be in 0..1"),
        ({"entropy_penalty": float("nan")}, "entropy_penalty = nan, must be in 0..1"),
    ],
)
def test_a_recipe_outside_its_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        ShareRecipe(**fields)
    assert str(caught.value) == message


def test_the_edges_of_every_range_are_accepted() -> None:
    recipe = ShareRecipe((("first", MAX_CODEBOOK_ENTRIES), ("*", 1)), "density", 1.0, "sum")
    assert recipe.codebook_sizes[0][1] == MAX_CODEBOOK_ENTRIES
