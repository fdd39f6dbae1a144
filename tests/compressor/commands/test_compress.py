"""`compress`: what each option changes in the recipe, and whose holdout it keeps."""

import argparse
import dataclasses
from typing import Any

import pytest

from compressor.commands import compress
from compressor.commands.compress import changed_recipe
from compressor.data.augmentation import Augmentation
from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from compressor.networks.card import NetworkCard
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import RECIPES, CompressRecipe, inherit_split, split_seed
from compressor.sharing.recipe import LatentRecipe
from compressor.structured.recipe import StructuredRecipe
from compressor.training.recipe import SmallPhase
from compressor.vector_quantization import VectorRecipe
from tests.compressor.blobs import TINY_CARD

REQUIRED = ("--weights", "w.safetensors", "--data", "d", "--store", "s", "--name", "n", "--run", "r")


def changed(*arguments: str, recipe: CompressRecipe = RECIPES["default"]) -> CompressRecipe:
    parser = argparse.ArgumentParser()
    compress.add_arguments(parser)
    return changed_recipe(recipe, parser.parse_args([*REQUIRED, *arguments]))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_without_options_a_recipe_stays_what_it_is(name: str) -> None:
    assert changed(recipe=RECIPES[name]) == RECIPES[name]


@pytest.mark.parametrize(
    ("arguments", "part", "fields"),
    [
        (("--method", "threshold"), "prune", {"method": "threshold"}),
        (("--sparsity", "0.9"), "prune", {"sparsity": 0.9}),
        (("--prune-begin", "0.1", "--prune-end", "0.5"), "prune", {"begin": 0.1, "end": 0.5}),
        (("--refresh-steps", "7"), "prune", {"refresh_steps": 7}),
        (("--score", "lamp"), "prune", {"score": "lamp"}),
        (("--score", "bytes"), "prune", {"score": "bytes"}),
        (("--score", "macs"), "prune", {"score": "macs"}),
        (("--floors", "first=0.5,*=0.03"), "prune", {"floors": (("first", 0.5), ("*", 0.03))}),
        (("--method", "threshold", "--quality", "1.5"), "prune", {"method": "threshold", "quality": (("*", 1.5),)}),
        (("--method", "threshold", "--rounds", "3"), "prune", {"method": "threshold", "rounds": 3}),
        (("--codebook-size", "linear=32,*=8"), "share", {"codebook_sizes": (("linear", 32), ("*", 8))}),
        (("--initialisation", "density"), "share", {"initialisation": "density"}),
        (("--entropy-penalty", "0.01"), "share", {"entropy_penalty": 0.01}),
        (("--gradient", "sum"), "share", {"gradient": "sum"}),
        (("--centroid-epochs", "2"), "centroids", {"epochs": 2}),
        (("--centroid-learning-rate", "0.001"), "centroids", {"learning_rate": 0.001}),
        (("--epochs", "2"), "retrain", {"epochs": 2}),
        (("--learning-rate", "0.01"), "retrain", {"learning_rate": 0.01}),
        (("--weight-decay", "0.001"), "retrain", {"weight_decay": 0.001}),
        (("--small-epochs", "2", "--small-side", "24"), "retrain", {"small_phase": SmallPhase(2, 24)}),
    ],
)
def test_each_option_changes_its_own_part_alone(arguments: tuple[str, ...], part: str, fields: dict[str, Any]) -> None:
    default = RECIPES["default"]
    expected = dataclasses.replace(default, **{part: dataclasses.replace(getattr(default, part), **fields)})
    assert changed(*arguments) == expected
    assert expected != default


METHODS: list[tuple[tuple[str, ...], str, Any]] = [
    (("--structure", "admm"), "structure", StructuredRecipe("admm")),
    (("--structure", "l1", "--structure-end", "0"), "structure", StructuredRecipe("l1", end=0.0)),
    (
        ("--structure", "admm", "--structure-kinds", "columns,filters", "--structure-kept", "first=1,*=0.3"),
        "structure",
        StructuredRecipe("admm", ("columns", "filters"), (("first", 1.0), ("*", 0.3))),
    ),
    (
        ("--structure", "nisp", "--structure-kept", "last=1,*=0.6"),
        "structure",
        StructuredRecipe("nisp", kept=(("last", 1.0), ("*", 0.6))),
    ),
    (("--structure", "sfp", "--structure-steps", "7"), "structure", StructuredRecipe("sfp", refresh_steps=7)),
    (
        ("--structure", "fcf", "--structure-strength", "0.02", "--structure-growth", "1.1", "--structure-limit", "9"),
        "structure",
        StructuredRecipe("fcf", strength=0.02, growth=1.1, limit=9.0),
    ),
    (("--structure", "fcf", "--structure-mixing", "0.5"), "structure", StructuredRecipe("fcf", mixing=0.5)),
    (("--quantize", "twn"), "quantize", QuantizeRecipe("twn")),
    (("--quantize", "ttq", "--quantize-layers", "1"), "quantize", QuantizeRecipe("ttq", (("*", 1.0),))),
    (
        ("--quantize", "twn", "--quantize-zeros", "last=0.5,*=0.6"),
        "quantize",
        QuantizeRecipe("twn", zeros=(("last", 0.5), ("*", 0.6))),
    ),
    (("--quantize", "ttq", "--quantize-scale-rate", "0.2"), "quantize", QuantizeRecipe(scale_learning_rate=0.2)),
]


@pytest.mark.parametrize(("arguments", "part", "expected"), METHODS)
def test_another_method_takes_the_place_of_pruning_weights(
    arguments: tuple[str, ...], part: str, expected: StructuredRecipe | QuantizeRecipe
) -> None:
    unpruned = dataclasses.replace(RECIPES["default"].prune, method="none")
    assert changed(*arguments) == dataclasses.replace(RECIPES["default"], prune=unpruned, **{part: expected})


def test_single_weights_go_after_whole_groups_where_both_are_asked_for() -> None:
    arguments = ("--structure", "l1", "--remove", "--remove-epochs", "3")
    both = changed(*arguments, "--method", "gradual", "--sparsity", "0.9", "--score", "lamp")
    assert (both.prunes_what_is_left, both.prune.sparsity, both.prune.score) == (True, 0.9, "lamp")
    assert not changed(*arguments).prunes_what_is_left


def test_vectors_are_shared_whatever_else_is_done() -> None:
    default = RECIPES["default"]
    assert changed("--vectors", "pq") == dataclasses.replace(default, vectors=VectorRecipe("pq"))
    arguments = ("--vectors", "rq", "--vector-length", "linear=8,*=9", "--codewords", "first=0,*=32")
    expected = VectorRecipe("rq", (("linear", 8), ("*", 9)), (("first", 0), ("*", 32)), 2, "network")
    assert changed(*arguments, "--vector-codebooks", "network") == dataclasses.replace(default, vectors=expected)
    with pytest.raises(RecipeError, match="--vectors: must be given with its options"):
        changed("--codewords", "64")
    with pytest.raises(RecipeError, match="vectors and quantize: must be one of them alone"):
        changed("--vectors", "pq", "--quantize", "ttq")


def test_weights_are_trained_one_by_one_where_epochs_for_it_are_given() -> None:
    default = RECIPES["default"]
    arguments = ("--latent-epochs", "7", "--latent-learning-rate", "0.03")
    with_latent = dataclasses.replace(default, latent=LatentRecipe(7, 0.03))
    assert changed(*arguments) == with_latent
    assert changed("--latent-epochs", "9", recipe=with_latent).latent == LatentRecipe(9, 0.03)
    assert changed("--seed", "0", recipe=with_latent).latent == LatentRecipe(7, 0.03)
    assert changed("--latent-epochs", "0", recipe=with_latent) == default
    with pytest.raises(RecipeError, match="^--latent-learning-rate: needs --latent-epochs$"):
        changed("--latent-learning-rate", "0.1")
    with pytest.raises(RecipeError, match="^latent: epochs = -1, learning_rate = 0.02, must be positive$"):
        changed("--latent-epochs", "-1")


def test_factors_are_pruned_like_any_layer() -> None:
    arguments = ("--factorize", "first=1,*=0.8", "--factorize-saving", "0.3")
    factorize = FactorizeRecipe((("first", 1.0), ("*", 0.8)), 0.3)
    assert changed(*arguments) == dataclasses.replace(RECIPES["default"], factorize=factorize)


@pytest.mark.parametrize("bits", [8, 16])
def test_scale_bits_change_nothing_else(bits: int) -> None:
    assert changed("--scale-bits", str(bits)) == dataclasses.replace(RECIPES["default"], scale_bits=bits)
    eight = dataclasses.replace(RECIPES["default"], scale_bits=8)
    assert changed("--seed", "0", recipe=eight).scale_bits == 8


@pytest.mark.parametrize("coder", ["huffman", "arithmetic", "smallest"])
def test_the_coder_changes_nothing_else(coder: Any) -> None:
    assert changed("--coder", coder) == dataclasses.replace(RECIPES["default"], coder=coder)
    arithmetic = dataclasses.replace(RECIPES["default"], coder="arithmetic")
    assert changed("--seed", "0", recipe=arithmetic).coder == "arithmetic"


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("--seed", "4"), {"seed": 4}),
        (("--holdout", "99"), {"holdout": 99}),
        (("--batch-size", "32"), {"batch_size": 32}),
        (("--ema-decay", "0.5"), {"ema_decay": 0.5}),
        (("--precision", "bf16"), {"precision": "bf16"}),
        (("--compile",), {"compile": True}),
        (("--teacher-share", "0.4"), {"teacher_share": 0.4}),
        (("--padding", "2", "--no-flip", "--cutout", "3"), {"augmentation": Augmentation(2, False, 3)}),
    ],
)
def test_what_concerns_data_and_machine_changes_both_trainings(
    arguments: tuple[str, ...], fields: dict[str, Any]
) -> None:
    assert changed(*arguments) == RECIPES["default"].with_both(**fields)


def test_a_teacher_is_asked_beforehand_where_the_views_are_given() -> None:
    taught = RECIPES["default"].with_both(teacher_share=0.4)
    asked = dataclasses.replace(taught, teacher_views=6)
    assert changed("--teacher-share", "0.4", "--teacher-views", "6") == asked
    assert changed("--seed", "0", recipe=asked) == asked
    assert changed("--teacher-share", "0", "--teacher-views", "0", recipe=asked) == RECIPES["default"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--teacher-views", "6"), "teacher_views = 6 and teacher_share = 0.0, must have a teacher to ask"),
        (("--sparsity", "1"), "schedule: sparsity 1.0 from 0.0 to 0.6"),
        (("--floors", "0.1x"), "rule '0.1x', must be a number or pattern=number"),
        (("--codebook-size", "2.5"), "codebook_sizes: (('*', 2.5),), must be whole numbers"),
        (("--teacher-share", "2"), "teacher_share = 2.0, must be in 0.0..1.0"),
        (("--centroid-epochs", "0"), "epochs = 0, must be in 1..100000"),
        (
            ("--structure", "l1", "--method", "gradual"),
            "prune and structure: must be gradual, with epochs of training after removal",
        ),
        (
            ("--structure", "l1", "--method", "threshold", "--remove", "--remove-epochs", "3"),
            "prune and structure: must be gradual, with epochs of training after removal",
        ),
        (("--structure", "l1", "--quantize", "twn"), "structure and quantize: must be one of them alone"),
        (("--structure-end", "0.1"), "--structure: must be given with its options (end)"),
        (("--quantize-zeros", "0.5"), "--quantize: must be given with its options (zeros)"),
        (("--quantize-scale-rate", "0.1"), "--quantize: must be given with its options (scale_learning_rate)"),
        (("--factorize-saving", "0.1"), "--factorize-saving: needs --factorize"),
        (
            ("--structure", "l1", "--sparsity", "0.9", "--remove", "--remove-epochs", "3"),
            "--sparsity: needs --method gradual, not none",
        ),
        (("--quantize", "twn", "--floors", "0.1"), "--floors: needs --method gradual, not none"),
        (("--method", "threshold", "--sparsity", "0.95"), "--sparsity: needs --method gradual, not threshold"),
        (("--quality", "1.2"), "--quality: needs --method threshold, not gradual"),
        (("--rounds", "3"), "--rounds: needs --method threshold, not gradual"),
        (("--quantize", "binary", "--quantize-scale-rate", "0.1"), "--quantize-scale-rate: needs --quantize ttq, not "),
        (
            ("--structure", "l1", "--structure-growth", "1.1"),
            "--structure-growth: needs --structure admm or fcf, not l1",
        ),
        (
            ("--structure", "nisp", "--structure-end", "0.2"),
            "--structure-end: needs --structure l1 or sfp or group-lasso or admm or fcf, not nisp",
        ),
        (("--remove", "--remove-learning-rate", "0.1"), "--remove-learning-rate: needs --remove-epochs above 0"),
        (("--latent-epochs", "0", "--latent-learning-rate", "0.1"), "--latent-learning-rate: needs --latent-epochs"),
        (("--structure", "l1", "--structure-kinds", "rows"), "kinds ('rows',), must be of filters, channels, columns"),
    ],
)
def test_options_outside_their_range_or_without_effect_are_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed(*arguments)
    assert str(caught.value).startswith(message)


def test_the_split_is_the_one_of_the_dense_training_where_the_weights_know_it() -> None:
    default = RECIPES["default"]
    trained = dataclasses.replace(TINY_CARD, training={"recipe": {"holdout": 24, "seed": 5, "epochs": 3}})
    assert inherit_split(default, trained) == default.with_both(holdout=24, seed=5)
    reseeded = changed("--seed", "9", recipe=inherit_split(default, trained))
    assert (reseeded.seed, split_seed(reseeded, trained)) == (9, 5)
    assert split_seed(reseeded, TINY_CARD) == 9
    for foreign in (TINY_CARD, NetworkCard("lenet300", TINY_CARD.preprocessing, ("a", "b"), {"test_accuracy": 0.5})):
        assert inherit_split(default, foreign) == default
