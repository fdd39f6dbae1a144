"""Compression recipes: what they refuse, and what the named ones promise."""

import dataclasses
from typing import Any

import pytest

from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError
from compressor.layer_rules import resolve_rules
from compressor.networks import build_network
from compressor.pruning.masks import layer_of, prunable_parameters
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CENTROIDS, RECIPES, RETRAIN, CompressRecipe, recipe_named
from compressor.removal.recipe import RemoveRecipe
from compressor.training.recipe import TrainRecipe

NETWORK_OF = {"resnet20-65kb": "resnet20", "lenet300": "lenet300", "lenet5": "lenet5"}


def test_centroids_with_weight_decay_are_refused() -> None:
    with pytest.raises(RecipeError, match="^centroids: weight_decay = 0.0005, must be 0$"):
        CompressRecipe(centroids=TrainRecipe())


@pytest.mark.parametrize("bits", [0, 4, 12, 32])
def test_scale_and_bias_have_8_or_16_bits(bits: int) -> None:
    assert CompressRecipe().scale_bits == 16
    with pytest.raises(RecipeError, match=f"^scale_bits = {bits}, must be one of 8, 16$"):
        CompressRecipe(scale_bits=bits)


@pytest.mark.parametrize("coder", ["", "Huffman", "range"])
def test_the_coder_is_one_of_the_formats(coder: Any) -> None:
    assert CompressRecipe().coder == "huffman"
    with pytest.raises(RecipeError, match=f"^coder = '{coder}', must be one of huffman, arithmetic, smallest$"):
        CompressRecipe(coder=coder)


@pytest.mark.parametrize("field", ["seed", "holdout"])
def test_the_two_trainings_must_split_the_data_alike(field: str) -> None:
    changed = dataclasses.replace(CENTROIDS, **dict[str, Any]({field: 17}))
    with pytest.raises(RecipeError) as caught:
        CompressRecipe(centroids=changed)
    assert str(caught.value) == f"{field} = {getattr(RETRAIN, field)} to retrain and 17 for centroids, must be one"


def test_a_change_to_both_trainings_leaves_the_rest() -> None:
    recipe = CompressRecipe().with_both(seed=3, holdout=77)
    assert (recipe.seed, recipe.holdout) == (3, 77)
    assert recipe.retrain == dataclasses.replace(RETRAIN, seed=3, holdout=77)
    assert recipe.centroids == dataclasses.replace(CENTROIDS, seed=3, holdout=77)
    assert (recipe.prune, recipe.share) == (CompressRecipe().prune, CompressRecipe().share)


@pytest.mark.parametrize(("retrain", "centroids"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)])
def test_a_teacher_is_needed_where_either_training_listens_to_it(retrain: float, centroids: float) -> None:
    recipe = CompressRecipe(
        retrain=dataclasses.replace(RETRAIN, teacher_share=retrain),
        centroids=dataclasses.replace(CENTROIDS, teacher_share=centroids),
    )
    assert recipe.needs_teacher is (retrain + centroids > 0)


@pytest.mark.parametrize("views", [-1, 1001])
def test_a_teacher_is_asked_about_some_views_or_each_step(views: int) -> None:
    assert CompressRecipe().teacher_views == 0
    with pytest.raises(RecipeError, match=f"^teacher_views = {views}, must be in 0..1000$"):
        CompressRecipe(teacher_views=views)


def test_views_need_a_teacher_and_pictures_that_it_has_seen() -> None:
    with pytest.raises(RecipeError, match="^teacher_views = 4 and teacher_share = 0.0, must have a teacher to ask$"):
        CompressRecipe(teacher_views=4)
    taught = CompressRecipe().with_both(teacher_share=0.5)
    assert dataclasses.replace(taught, teacher_views=4).teacher_views == 4
    message = "^teacher_views = 4: both trainings must have one augmentation, without mixup$"
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(taught.with_both(augmentation=Augmentation(mixup=0.3)), teacher_views=4)
    cut = dataclasses.replace(taught.centroids, augmentation=Augmentation(cutout=4))
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(taught, centroids=cut, teacher_views=4)


def test_recipes_go_by_name() -> None:
    assert recipe_named("lenet300") is RECIPES["lenet300"]
    assert recipe_named("default") == CompressRecipe()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_named("resnet9")
    assert str(caught.value) == f"--recipe resnet9: unknown, must be one of {', '.join(RECIPES)}"


@pytest.mark.parametrize(("name", "network"), sorted(NETWORK_OF.items()))
def test_every_named_recipe_covers_each_layer_of_its_network_and_leaves_room(name: str, network: str) -> None:
    weights = prunable_parameters(build_network(network, 10))
    recipe, layers = RECIPES[name], [layer_of(weight) for weight in weights]
    sizes = resolve_rules(recipe.share.codebook_sizes, layers)
    assert all(2 <= size <= 256 for size in sizes.values())
    floors = resolve_rules(recipe.prune.floors, layers)
    kept = sum(floors[layer_of(weight)] * values.numel() for weight, values in weights.items())
    total = sum(values.numel() for values in weights.values())
    assert kept / total <= 1 - recipe.prune.sparsity
    assert min(resolve_rules(recipe.prune.quality, layers).values()) > 0


def test_digits_are_never_flipped() -> None:
    for name in ("lenet300", "lenet5"):
        for training in (RECIPES[name].retrain, RECIPES[name].centroids):
            assert not training.augmentation.flip


@pytest.mark.parametrize("method", ["binary", "twn", "ttq"])
def test_training_after_removal_would_undo_two_or_three_values(method: str) -> None:
    quantize, nothing = QuantizeRecipe(method), PruneRecipe(method="none")
    CompressRecipe(nothing, quantize=quantize, remove=RemoveRecipe(epochs=0))
    with pytest.raises(RecipeError, match="^quantize and remove: epochs = 2, must be 0: they train every value$"):
        CompressRecipe(nothing, quantize=quantize, remove=RemoveRecipe(epochs=2))
