"""One experiment: a network, how it is trained, how it is compressed, on which data, with which seeds, to what end."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.errors import CompressorError, RecipeError
from compressor.experiments.aims import Aim
from compressor.experiments.targets import TIERS, Target, row_of
from compressor.recipes import CompressRecipe
from compressor.stages import fingerprint_of
from compressor.training.recipe import TrainRecipe

FINGERPRINT_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is declared once and run by name.

    Attributes:
        network: a key of `NETWORKS`, or `module:callable`.
        data: `cifar10` or `mnist`, which is downloaded where no other place is given.
        train: the dense network's recipe; None where `weights` are given.
        weights: a checkpoint of ours, which says what was held out when it was trained; None where `train` makes one.
        tier: which target of the network's row it is meant for; anything where there is an aim.
        aim: what it is meant for where that is not a size.
        seeds: of the runs that its result rests on.
        teacher_files: other networks, checkpoints of ours or bundles, that teach in place of the dense network itself.
        accelerator: whether it needs a GPU to end within hours.
    """

    name: str
    network: str
    data: str
    compress: CompressRecipe
    tier: str
    train: TrainRecipe | None = None
    weights: Path | None = None
    seeds: tuple[int, ...] = (0,)
    accelerator: bool = False
    aim: Aim | None = None
    teacher_files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if (self.train is None) == (self.weights is None):
            raise RecipeError(f"experiment {self.name}: must have either a recipe to train by or weights")
        if (self.tier not in TIERS and self.aim is None) or not self.seeds:
            raise RecipeError(f"experiment {self.name}: tier {self.tier!r}, seeds {self.seeds}, must have both")
        if self.train is not None and self.train.holdout != self.compress.holdout:
            raise RecipeError(
                f"experiment {self.name}: holdout {self.train.holdout} to train and {self.compress.holdout} to "
                "compress, must be one: pictures the dense network has learnt tell nothing"
            )

    def with_seed(self, seed: int) -> "Experiment":
        """The same with every recipe at this seed."""
        train = dataclasses.replace(self.train, seed=seed) if self.train is not None else None
        compress = self.compress.with_both(seed=seed)
        return dataclasses.replace(self, train=train, compress=compress, seeds=(seed,))

    @property
    def target(self) -> Target | Aim:
        """What there is to reach."""
        return self.aim if self.aim is not None else row_of(self.network).targets[self.tier]

    def run_name(self) -> str:
        """What a run, its bundle and its record are called."""
        return f"{self.name}-seed{self.seeds[0]}"

    def dense_name(self) -> str:
        """What the dense training is called: the same for all experiments that begin with the same one."""
        if self.train is None:
            return str(self.weights)
        recipe = {"network": self.network, "data": self.data, **dataclasses.asdict(self.train)}
        return f"{self.network.replace(':', '.')}-{fingerprint_of(recipe)[:FINGERPRINT_DIGITS]}-seed{self.train.seed}"

    @property
    def files(self) -> tuple[Path, ...]:
        """What must be there before it runs."""
        return (*filter(None, [self.weights]), *self.teacher_files)

    def check_files(self) -> None:
        """Raise CompressorError where one of them is not there."""
        for file in self.files:
            if not file.exists():
                raise CompressorError(
                    f"{file}: no such file, that {self.name} begins with; run it from the folder that has it"
                )

    def from_here(self) -> "Experiment":
        """The same with files that are found from other folders, too."""
        weights = self.weights.absolute() if self.weights is not None else None
        return dataclasses.replace(
            self, weights=weights, teacher_files=tuple(file.absolute() for file in self.teacher_files)
        )

    def smoke(self) -> "Experiment":
        """The same way in a minute or so: one epoch of everything, small batches, nothing compiled; a network for no
        use."""
        quick: dict[str, Any] = {
            "epochs": 1,
            "batch_size": 50,
            "holdout": SMOKE_HOLDOUT,
            "compile": False,
            "ema_decay": 0.0,
        }
        train = dataclasses.replace(self.train, small_phase=None, **quick) if self.train is not None else None
        prune = dataclasses.replace(self.compress.prune, refresh_steps=2)
        remove = dataclasses.replace(self.compress.remove, epochs=1) if self.compress.remove is not None else None
        latent = dataclasses.replace(self.compress.latent, epochs=1) if self.compress.latent is not None else None
        compress = dataclasses.replace(self.compress.with_both(**quick), prune=prune, remove=remove, latent=latent)
        return dataclasses.replace(self, name=f"{self.name}-smoke", train=train, compress=compress)


SMOKE_HOLDOUT = 100
SMOKE_PICTURES = 500  # of train, and of test
