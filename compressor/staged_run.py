"""A run in its folder: one stage after another changes the network, each done once, whatever is killed in between."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.bundling import DenseSize
from compressor.data.images import ImageSet
from compressor.holdout import holdout_doubt, warning_of
from compressor.networks.card import NetworkCard
from compressor.networks.weights import weights_digest
from compressor.operations import multiply_adds_of
from compressor.recipes import CompressRecipe, split_seed
from compressor.stages import RunFolder
from compressor.training.constraint import Constraint
from compressor.training.evaluation import accuracy_of
from compressor.training.layout import with_layout
from compressor.training.lessons import Lessons
from compressor.training.processes import take_from_first
from compressor.training.recipe import TrainRecipe
from compressor.training.samples import Samples
from compressor.training.teachers import Teacher
from compressor.training.trainer import Trainer
from compressor.tutor import Tutor


@dataclass(frozen=True, slots=True, eq=False)
class CompressData:
    """Pictures to train on and to choose by, and how to get the test pictures, which are touched once, at the end."""

    images: ImageSet
    holdout: ImageSet
    load_test: Callable[[], ImageSet]
    digest: str


class StagedRun:
    """The network as the last stage left it, and what every stage needs to run, to be found again, and to be told of.

    Args:
        teachers: what teaches it, where the recipe asks for a teacher; without any the dense network itself does.
        lessons: the folder of what teachers said beforehand, which runs can share; `folder` where it is None.

    Raises:
        CompressorError: a teacher has other classes or takes other pictures, or the recipe listens to none.
    """

    def __init__(
        self,
        network: nn.Module,
        card: NetworkCard,
        data: CompressData,
        recipe: CompressRecipe,
        folder: Path,
        *,
        teachers: Sequence[Teacher] = (),
        lessons: Path | None = None,
        progress: bool = True,
    ) -> None:
        # The layout that training leaves, from the start: a resumed run must add in the same order, to the last bit.
        self.network = with_layout(network, torch.channels_last)
        self.card = card
        self.data = data
        self.recipe = recipe
        self.folder = RunFolder(folder)
        self.lessons_folder = lessons if lessons is not None else folder
        self.progress = progress
        self.accuracies: dict[str, float] = {}
        self.tutor = Tutor.of(network, card, recipe, teachers)
        self.dense_size = DenseSize.of(network)
        self.dense_multiply_adds = multiply_adds_of(network, card.preprocessing.input_shape)
        self._fingerprint = weights_digest(network)
        doubt = holdout_doubt(card.training, data.digest, recipe.holdout, split_seed(recipe, card))
        if doubt is not None and progress:
            print(warning_of(doubt), flush=True)

    @property
    def _samples(self) -> Samples:
        return Samples(self.data.images, self.card.preprocessing)

    def _stage(self, name: str, part: Any, work: Callable[[Path], None], training: TrainRecipe | None = None) -> None:
        inputs = {
            "before": self._fingerprint,
            "recipe": part if isinstance(part, dict) else dataclasses.asdict(part),
            "training": dataclasses.asdict(training) if training else None,
            "data": self.data.digest,
            "card": dataclasses.asdict(self.card)["preprocessing"],
        }
        inputs |= self.tutor.stage_inputs(trains=training is not None)

        def run(checkpoint: Path) -> float:
            work(checkpoint)
            take_from_first(self.network)
            return accuracy_of(self.network, self.data.holdout, self.card.preprocessing)

        result = self.folder.run_stage(name, inputs, self.network, run)
        self._fingerprint = result.fingerprint
        self.accuracies[name] = result.holdout_accuracy
        self._say(name, result.holdout_accuracy)

    def _train(self, name: str, recipe: TrainRecipe, constraint: Constraint, checkpoint: Path) -> None:
        trainer = Trainer(
            self.network,
            self.card.preprocessing,
            recipe,
            name=name,
            constraint=constraint,
            teacher=self._taught_by if recipe.teacher_share else None,
            checkpoint=checkpoint,
            progress=self.progress,
        )
        self.network.load_state_dict(trainer.fit(self.data.images, self.data.holdout).state_dict())

    @functools.cached_property
    def _taught_by(self) -> nn.Module | Lessons | None:
        return self.tutor.teaching(
            self.data.images, self.card, self.recipe, self.lessons_folder, progress=self.progress
        )

    def _say(self, what: str, accuracy: float) -> None:
        if self.progress:
            print(f"{what}: {accuracy:.2%}", flush=True)
