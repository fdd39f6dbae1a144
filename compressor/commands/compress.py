"""`compress`: from a dense network to a published bundle, resumable at every stage and epoch."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, get_args

from compressor.commands.method_options import add_methods, changed_methods
from compressor.commands.options import (
    DATA_HELP,
    add_device,
    add_store,
    add_training,
    changed_augmentation,
    changed_training,
    check_read_by,
    choose_device,
    given,
    given_as,
)
from compressor.commands.sources import add_network, load_network, load_test_images, network_shape
from compressor.data import load_images, split_images
from compressor.errors import RecipeError
from compressor.layer_rules import parse_rules
from compressor.pipeline import Compression
from compressor.pruning.recipe import METHODS, PruneRecipe
from compressor.pruning.scores import SCORES
from compressor.recipes import RECIPES, SCALE_BITS, CompressRecipe, inherit_split, recipe_named, split_seed
from compressor.sharing.centroids import GRADIENTS
from compressor.sharing.kmeans import INITIALISATIONS
from compressor.sharing.recipe import CODEBOOKS, LatentRecipe, ShareRecipe
from compressor.staged_run import CompressData
from compressor.teaching import load_teachers
from model_store.bundle import decode_bundle
from model_store.encoder import CodingChoice
from model_store.interface import StoredBundle
from model_store.names import check_model_name
from model_store.opening import create_store

NAME = "compress"
SUMMARY = "Prune, share, encode, measure and publish a network; the same command after a kill goes on."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_network(parser)
    parser.add_argument("--weights", required=True, type=Path, help=".safetensors, or .pth of plain tensors")
    parser.add_argument("--data", required=True, help=DATA_HELP)
    add_store(parser, required=True)
    parser.add_argument("--name", required=True, help="of the model in the store")
    parser.add_argument("--run", dest="folder", required=True, type=Path, help="folder of checkpoints and record")
    parser.add_argument("--recipe", default="default", choices=sorted(RECIPES), help="what the options below change")
    _add_pruning(parser.add_argument_group("pruning"))
    _add_sharing(parser.add_argument_group("sharing"))
    add_methods(parser)
    add_training(parser)
    parser.add_argument("--scale-bits", type=int, choices=SCALE_BITS, help="of scale and bias in the file (16)")
    parser.add_argument(
        "--coder",
        choices=get_args(CodingChoice),
        help="of the shared weights; arithmetic: smaller, but decoded bit by bit when it is loaded (huffman)",
    )
    parser.add_argument("--teacher-share", type=float, help="weight of distillation from the teacher, 0..1")
    parser.add_argument(
        "--teacher",
        dest="teachers",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a checkpoint of ours or a .csrve that teaches; several teach by their mean (default: the dense network)",
    )
    parser.add_argument(
        "--teacher-views",
        type=int,
        help="ask the teacher about so many views of every picture beforehand; 0: each step",
    )
    parser.add_argument(
        "--lessons", type=Path, metavar="FOLDER", help="of what it says of them, which runs can share (default: --run)"
    )
    add_device(parser)


_GRADUAL = ("sparsity", "prune_begin", "prune_end", "refresh_steps", "score", "floors")
PRUNING_READ_BY = dict.fromkeys(_GRADUAL, ("gradual",)) | dict.fromkeys(("quality", "rounds"), ("threshold",))


def _add_pruning(group: Any) -> None:
    group.add_argument("--method", choices=METHODS)
    group.add_argument("--sparsity", type=float, help="gradual: share of the weights that goes")
    group.add_argument("--prune-begin", type=float, help="gradual: share of the run")
    group.add_argument("--prune-end", type=float, help="gradual: share of the run, the mask is fixed after it")
    group.add_argument("--refresh-steps", type=int, help="gradual: steps between two masks")
    group.add_argument(
        "--score", choices=sorted(SCORES), help="gradual: bytes, macs: magnitude per coded bit, per operation"
    )
    group.add_argument("--floors", help="gradual: least density, such as first=0.5,last=0.4,*=0.02")
    group.add_argument("--quality", help="threshold: q of q * std, such as conv1=0.5,*=1.2")
    group.add_argument("--rounds", type=int, help="threshold: prune and retrain so often")


def _add_sharing(group: Any) -> None:
    group.add_argument("--codebook-size", help="values of a layer, such as 16, or linear=32,*=8")
    group.add_argument("--codebooks", choices=CODEBOOKS, help="one for each layer, or one for the network")
    group.add_argument("--initialisation", choices=INITIALISATIONS, help="of k-means")
    group.add_argument("--entropy-penalty", type=float, help="relative squared error that a bit may cost; 0: nearest")
    group.add_argument("--gradient", choices=GRADIENTS, help="of a centroid")
    group.add_argument(
        "--latent-epochs",
        type=int,
        help="before the centroids: train each shared weight by itself, it changes its value as it moves; 0: do not",
    )
    group.add_argument("--latent-learning-rate", type=float, help="the peak of that")
    group.add_argument("--centroid-epochs", type=int)
    group.add_argument("--centroid-learning-rate", type=float)


def run(options: argparse.Namespace) -> None:
    """Compress and publish; say where it is and what it measures."""
    check_model_name(options.name)
    store, device, progress = create_store(options.store), choose_device(options), not options.quiet
    images = load_images(options.data, "train", network_shape(options, options.weights), progress=progress)
    network, card = load_network(options, options.weights, images)
    recipe = changed_recipe(inherit_split(recipe_named(options.recipe), card), options)
    rest, holdout = split_images(images, recipe.holdout, split_seed(recipe, card))
    shape, names = card.preprocessing.input_shape, card.class_names
    data = CompressData(
        rest, holdout, lambda: load_test_images(options.data, shape, names, progress=progress), images.digest
    )
    teachers = load_teachers(options.teachers)
    compression = Compression(
        network.to(device), card, data, recipe, options.folder,
        teachers=teachers, lessons=options.lessons, progress=progress,
    )  # fmt: skip
    _report(options, compression.publish(store, options.name))


def changed_recipe(recipe: CompressRecipe, options: argparse.Namespace) -> CompressRecipe:
    """The recipe with the options given.

    Raises:
        RecipeError: an option is out of its range.
    """
    views = recipe.teacher_views if options.teacher_views is None else options.teacher_views
    recipe = dataclasses.replace(recipe, teacher_views=0)  # checked at the end, with all that changes
    if options.teacher_share is not None:
        recipe = recipe.with_both(teacher_share=options.teacher_share)
    shared_by_both = ("batch_size", "ema_decay", "holdout", "seed", "precision", "compile")
    both = given(options, shared_by_both)
    centroids = given_as(options, {"centroid_epochs": "epochs", "centroid_learning_rate": "learning_rate"})
    centroids["augmentation"] = changed_augmentation(recipe.centroids.augmentation, options)
    methods = {"prune": recipe.prune} | changed_methods(recipe, options)
    prune = _changed_pruning(methods.pop("prune"), options)
    return CompressRecipe(
        prune,
        changed_training(recipe.retrain, options),
        _changed_sharing(recipe, options),
        dataclasses.replace(recipe.centroids, **both, **centroids),
        recipe.scale_bits if options.scale_bits is None else options.scale_bits,
        **methods,
        latent=_changed_latent(recipe.latent, options),
        teacher_views=views,
        coder=options.coder or recipe.coder,
    )


def _changed_pruning(recipe: PruneRecipe, options: argparse.Namespace) -> PruneRecipe:
    names = {"prune_begin": "begin", "prune_end": "end"}
    names |= {name: name for name in ("method", "sparsity", "refresh_steps", "score", "rounds")}
    changes = given_as(options, names)
    rules = given_as(options, {"floors": "floors", "quality": "quality"})
    changes |= {name: parse_rules(text) for name, text in rules.items()}
    changed = dataclasses.replace(recipe, **changes)
    check_read_by(options, "method", changed.method, PRUNING_READ_BY)
    return changed


def _changed_sharing(recipe: CompressRecipe, options: argparse.Namespace) -> ShareRecipe:
    names = {name: name for name in ("initialisation", "entropy_penalty", "gradient", "codebooks")}
    changes = given_as(options, names)
    if options.codebook_size is not None:
        changes["codebook_sizes"] = parse_rules(options.codebook_size)
    return dataclasses.replace(recipe.share, **changes)


def _changed_latent(recipe: LatentRecipe | None, options: argparse.Namespace) -> LatentRecipe | None:
    changes = given_as(options, {"latent_epochs": "epochs", "latent_learning_rate": "learning_rate"})
    if not changes.get("epochs", recipe.epochs if recipe is not None else 0):
        if "learning_rate" in changes:
            raise RecipeError("--latent-learning-rate: needs --latent-epochs")
        return None
    return dataclasses.replace(recipe or LatentRecipe(), **changes)


def _report(options: argparse.Namespace, stored: StoredBundle) -> None:
    bundle = decode_bundle(stored.data)
    size, ratio = len(stored.data), bundle.dense_bytes / len(stored.data)
    print(
        f"{options.store}/{stored.name}/{stored.version}.csrve: test {bundle.provenance['accuracy']:.2%}, "
        f"{size} bytes, {ratio:.1f}x smaller than {bundle.dense_bytes}, sparsity {bundle.sparsity:.1%}"
    )
