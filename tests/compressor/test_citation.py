"""Citations of recipes: short, JSON, and read back to the very recipe."""

import dataclasses
import json
from typing import Any

import pytest

from compressor.citation import cite, read_citation
from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError
from compressor.pruning.recipe import PruneRecipe
from compressor.recipes import RECIPES, CompressRecipe
from compressor.sharing.recipe import ShareRecipe
from compressor.training.recipe import SmallPhase, TrainRecipe


def through_json(recipe: CompressRecipe) -> CompressRecipe:
    return read_citation(json.loads(json.dumps(cite(recipe))))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_named_recipe_survives_a_trip_through_json(name: str) -> None:
    assert through_json(RECIPES[name]) == RECIPES[name]


@pytest.mark.parametrize(
    "recipe",
    [
        CompressRecipe(retrain=TrainRecipe()),
        CompressRecipe(retrain=TrainRecipe(small_phase=SmallPhase(3, 16), augmentation=Augmentation(0, False, 8))),
        CompressRecipe(
            PruneRecipe(floors=(("first", 0.5), ("layer?.*", 0.25), ("*", 0))), share=ShareRecipe((("*", 4),))
        ),
        CompressRecipe().with_both(seed=7, holdout=100, compile=True, precision="bf16"),
    ],
)
def test_changed_recipes_survive_a_trip_through_json(recipe: CompressRecipe) -> None:
    assert through_json(recipe) == recipe
    assert recipe != CompressRecipe()


def test_the_default_is_cited_by_nothing() -> None:
    assert cite(CompressRecipe()) == {}
    assert read_citation({}) == CompressRecipe()


def test_only_what_differs_from_the_defaults_is_cited() -> None:
    recipe = dataclasses.replace(CompressRecipe(), prune=PruneRecipe(sparsity=0.9), share=ShareRecipe((("*", 4),)))
    assert cite(recipe) == {"prune": {"sparsity": 0.9}, "share": {"codebook_sizes": (("*", 4),)}}
    phase = dataclasses.replace(recipe, retrain=TrainRecipe(small_phase=SmallPhase(2, 24)))
    assert cite(phase)["retrain"] == {"small_phase": {"epochs": 2, "side": 24}}


@pytest.mark.parametrize(
    "citation",
    [
        {"quantise": {}},
        {"prune": {"rate": 1}},
        {"prune": 3},
        {"prune": {"sparsity": "high"}},
        {"prune": {"sparsity": 1.5}},
        {"share": {"codebook_sizes": [["*", 4, 5]]}},
        {"share": {"codebook_sizes": [4]}},
        {"retrain": {"small_phase": {"epochs": 2}}},
        {"retrain": {"augmentation": [["padding", 2]]}},
    ],
)
def test_what_is_no_citation_of_these_recipes_is_refused(citation: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        read_citation(citation)


def test_the_refusal_names_what_is_unknown() -> None:
    with pytest.raises(RecipeError, match="^citation of another version's recipe \\(.*'quantise'.*\\)$"):
        read_citation({"quantise": 4})
