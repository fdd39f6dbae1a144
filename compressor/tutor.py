"""Who teaches a run, if anybody: the dense network itself or others, at each step or beforehand."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.data.images import ImageSet
from compressor.errors import CompressorError
from compressor.networks.card import NetworkCard
from compressor.networks.weights import weights_digest
from compressor.recipes import CompressRecipe
from compressor.stages import fingerprint_of
from compressor.training.layout import with_layout
from compressor.training.lessons import Lessons, Teaching
from compressor.training.teachers import Ensemble, Teacher

FINGERPRINT_DIGITS = 16  # in the names of files


@dataclass(frozen=True, slots=True, eq=False)
class Tutor:
    """What a run is taught by.

    Attributes:
        teachers: others than the dense network.
        network: the teacher, of one or of several; None where the recipe listens to none.
        views: of every picture, that it is asked about beforehand; 0: at each step.
    """

    teachers: tuple[Teacher, ...]
    network: nn.Module | None
    views: int

    @staticmethod
    def of(dense: nn.Module, card: NetworkCard, recipe: CompressRecipe, teachers: Sequence[Teacher]) -> "Tutor":
        """The teachers given, or the dense network where there are none.

        Raises:
            CompressorError: a teacher has other classes or takes other pictures, or the recipe listens to none.
        """
        for teacher in teachers:
            teacher.check(card)
        if teachers and not recipe.needs_teacher:
            raise CompressorError("teacher_share = 0.0 and teachers given, must be above 0 for them to be listened to")
        network: nn.Module | None = None
        if teachers:
            network = Ensemble(teachers, card.preprocessing).to(next(dense.parameters()).device)
        elif recipe.needs_teacher:
            network = with_layout(copy.deepcopy(dense), torch.channels_last)
        return Tutor(tuple(teachers), network, recipe.teacher_views)

    def teaching(
        self, images: ImageSet, card: NetworkCard, recipe: CompressRecipe, folder: Path, *, progress: bool
    ) -> nn.Module | Lessons | None:
        """The teacher, or what it says of the views that the recipe asks for, which `folder` keeps.

        Raises:
            CheckpointError: the folder's file cannot be read, or is of other pictures.
        """
        if self.network is None or not self.views:
            return self.network
        training = recipe.retrain
        bf16 = training.precision == "bf16"
        asked = {
            "teacher": weights_digest(self.network),
            "data": images.digest,
            "preprocessing": dataclasses.asdict(card.preprocessing),
            "augmentation": dataclasses.asdict(training.augmentation),
            "precision": training.precision,
        }
        file = folder / f"lessons-{fingerprint_of(asked)[:FINGERPRINT_DIGITS]}.safetensors"
        teaching = Teaching(self.network, card.preprocessing, training.augmentation, bf16, progress)
        return teaching.lessons(images, self.views, file)

    def stage_inputs(self, *, trains: bool) -> dict[str, Any]:
        """What a stage depends on beside its recipe; nothing where the dense network teaches at each step."""
        inputs: dict[str, Any] = {"teacher_views": self.views} if self.views and trains else {}
        if self.teachers:
            inputs["teachers"] = [teacher.sha256 for teacher in self.teachers]
        return inputs

    def provenance(self) -> list[dict[str, str]]:
        """The teachers' files and digests."""
        return [teacher.provenance() for teacher in self.teachers]
