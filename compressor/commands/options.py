"""Options that several commands share, and what they mean."""

import argparse
import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from compressor.data.augmentation import Augmentation
from compressor.errors import CompressorError, RecipeError
from compressor.training.processes import own_device
from compressor.training.recipe import PRECISIONS, SCHEDULES, SmallPhase, TrainRecipe
from model_store.opening import place_of

DATA_HELP = "folder or zips with train/<class>/* and test/<class>/* (or val/, as ImageNet has it), or cifar10, or mnist"
STORE_VARIABLE = "CSRVE_STORE"


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's own)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def choose_device(options: argparse.Namespace) -> torch.device:
    """The device asked for, with the number of threads set.

    Raises:
        CompressorError: there is none of that name here.
    """
    if options.threads is not None:
        if options.threads < 1:
            raise CompressorError(f"--threads {options.threads}, must be at least 1")
        torch.set_num_threads(options.threads)
    try:
        device = torch.device(own_device(options.device))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CompressorError(f"--device {options.device}: {str(error).splitlines()[0]}") from error
    return device


def add_store(parser: argparse.ArgumentParser, *, required: bool) -> None:
    default = os.environ.get(STORE_VARIABLE)
    parser.add_argument(
        "--store",
        type=place_of,
        default=default,
        required=required and not default,
        help=f"its folder or URL (${STORE_VARIABLE})",
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """Options that change a training recipe; each is None where it is not given."""
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float, help="the peak")
    parser.add_argument("--momentum", type=float)
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--label-smoothing", type=float)
    parser.add_argument("--schedule", choices=SCHEDULES)
    parser.add_argument("--warmup", type=float, help="share of the steps until the peak")
    parser.add_argument("--ema-decay", type=float, help="of the moving average that is kept; 0: the weights themselves")
    parser.add_argument("--holdout", type=int, help="pictures of train set aside to choose by")
    parser.add_argument("--padding", type=int, help="of the random crop")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=None, help="half of the pictures")
    parser.add_argument("--cutout", type=int, help="side of a square that is blanked")
    parser.add_argument("--mixup", type=float, help="a of Beta(a, a): how pictures and labels are blended; 0: not")
    parser.add_argument("--small-epochs", type=int, help="first epochs, on shrunk pictures; 0: none")
    parser.add_argument("--small-side", type=int, help="the side they are shrunk to")
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=None, help="torch.compile")
    parser.add_argument("--seed", type=int)


_DIRECT = (
    "epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "schedule", "warmup",
    "ema_decay", "holdout", "precision", "compile", "seed",
)  # fmt: skip


def given(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The options that were given, by name."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def given_as(options: argparse.Namespace, names: dict[str, str]) -> dict[str, Any]:
    """The options that were given, each under the field that `names` has for it."""
    return {field: value for option, field in names.items() if (value := getattr(options, option)) is not None}


def check_read_by(
    options: argparse.Namespace, choice: str, chosen: str, read_by: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse options that were given and that what was chosen does not read.

    Args:
        choice: the option that chooses, such as `method`.
        read_by: of each option, what reads it.

    Raises:
        RecipeError: one would have no effect.
    """
    for name in given(options, read_by):
        if chosen not in read_by[name]:
            raise RecipeError(
                f"--{name.replace('_', '-')}: needs --{choice} {' or '.join(read_by[name])}, not {chosen}"
            )


def changed_training(recipe: TrainRecipe, options: argparse.Namespace) -> TrainRecipe:
    """The recipe with the options given.

    Raises:
        RecipeError: an option is out of its range.
    """
    changes = given(options, _DIRECT)
    changes["augmentation"] = changed_augmentation(recipe.augmentation, options)
    changes["small_phase"] = _small_phase(recipe.small_phase, options.small_epochs, options.small_side)
    return dataclasses.replace(recipe, **changes)


def changed_augmentation(augmentation: Augmentation, options: argparse.Namespace) -> Augmentation:
    """The augmentation with the options given.

    Raises:
        RecipeError: an option is out of its range.
    """
    return dataclasses.replace(augmentation, **given(options, ("padding", "flip", "cutout", "mixup")))


def _small_phase(phase: SmallPhase | None, epochs: int | None, side: int | None) -> SmallPhase | None:
    epochs = epochs if epochs is not None else phase.epochs if phase else 0
    side = side if side is not None else phase.side if phase else None
    if not epochs:
        return None
    if side is None or side < 1 or epochs < 0:
        raise RecipeError(f"--small-epochs {epochs} --small-side {side}: must both be positive")
    return SmallPhase(epochs, side)


def augmentation_of(channels: int) -> Augmentation:
    """What suits pictures by default: colour ones are flipped, grey ones (digits) are not."""
    return Augmentation() if channels > 1 else Augmentation(padding=2, flip=False)
