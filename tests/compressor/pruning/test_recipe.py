"""What a pruning recipe refuses."""

from typing import Any

import pytest

from compressor.errors import RecipeError
from compressor.pruning.recipe import PruneRecipe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "random"}, "pruning method 'random', must be one of gradual, threshold, none"),
        ({"score": "taylor"}, "pruning score 'taylor', must be one of magnitude, lamp, bytes, macs"),
        ({"refresh_steps": 0}, "refresh_steps = 0, rounds = 1, must be at least 1"),
        ({"rounds": 0}, "refresh_steps = 100, rounds = 0, must be at least 1"),
        (
            {"sparsity": 1.0},
            "schedule: sparsity 1.0 from 0.0 to 0.6, must be 0 <= sparsity < 1, 0 <= begin < end <= 0.99",
        ),
        ({"floors": (("first", 1.5), ("*", 0.1))}, "floors: first = 1.5, must be in 0.0..1.0"),
        ({"floors": (("first", 0.5),)}, "floors: (('first', 0.5),), must end with a rule for '*'"),
        ({"quality": (("*", -1.0),)}, "quality: * = -1.0, must be in 0.0..100.0"),
        ({"quality": ()}, "quality: (), must end with a rule for '*'"),
    ],
)
def test_a_recipe_outside_its_range_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        PruneRecipe(**fields)
    assert str(caught.value) == message


def test_the_edges_of_every_range_are_accepted() -> None:
    recipe = PruneRecipe("threshold", 0.0, 0.0, 0.99, 1, "lamp", (("*", 1.0),), (("*", 100.0),), 1)
    assert (recipe.end, recipe.floors, recipe.quality) == (0.99, (("*", 1.0),), (("*", 100.0),))
