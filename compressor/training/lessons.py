"""What a teacher says of a few views of every picture, computed once, for trainings that cannot wait for it each step.

Shen & Xing 2022 ("A Fast Knowledge Distillation Framework for Visual Recognition", section 3): every picture has some
crops and flips drawn beforehand, with the teacher's answer to each kept beside it; training draws among them. The views
are the same whatever a training's seed, so several runs can share one file.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from compressor.data.augmentation import Augmentation
from compressor.data.images import ImageSet
from compressor.errors import CheckpointError
from compressor.training.evaluation import evaluating, evaluation_batch, normalise
from compressor.training.files import load_tensors, save_tensors
from compressor.training.processes import first_before_others
from model_store.preprocessing import Preprocessing

LOGITS, DONE = "logits", "views"


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Views of the pictures of a training, and what the teacher said of each.

    Attributes:
        drawn: int16 [views, pictures, 5], of `Augmentation.draw`.
        logits: float16 [views, pictures, classes].
    """

    drawn: Tensor
    logits: Tensor

    def choose(self, pictures: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One view each of these pictures (indices [batch]): what is drawn for it, and its logits as float32."""
        device = self.logits.device
        views = torch.randint(len(self.drawn), (len(pictures),), generator=generator).to(device)
        pictures = pictures.to(device)
        return self.drawn[views, pictures], self.logits[views, pictures].float()


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """A teacher that answers beforehand.

    Attributes:
        teacher: takes normalised pictures.
        preprocessing: how they are normalised.
        bf16: whether it computes in bfloat16.
    """

    teacher: nn.Module
    preprocessing: Preprocessing
    augmentation: Augmentation
    bf16: bool = False
    progress: bool = True

    def lessons(self, images: ImageSet, views: int, file: Path) -> Lessons:
        """Its answers to `views` views of every picture; those that `file` has are not asked for again.

        Raises:
            CheckpointError: the file cannot be read, or is of other pictures.
        """
        with first_before_others():
            logits = self._answers(images, views, file)
        drawn = torch.stack([self._draw(images, view) for view in range(views)])
        return Lessons(drawn.to(logits.device), logits)

    def _draw(self, images: ImageSet, view: int) -> Tensor:
        generator = torch.Generator().manual_seed(view)
        count, _, height, width = images.pixels.shape
        return self.augmentation.draw(count, height, width, generator)

    def _answers(self, images: ImageSet, views: int, file: Path) -> Tensor:
        device = next(self.teacher.parameters()).device
        done = list(_read(file, len(images)).to(device)) if file.exists() else []
        bar = tqdm(total=views, initial=min(len(done), views), desc="lessons", unit=" views", disable=not self.progress)
        with bar, evaluating(self.teacher):
            for view in range(len(done), views):
                done.append(self._answer(images, self._draw(images, view)))
                save_tensors(file, {LOGITS: torch.stack(done)}, {DONE: len(done)})
                bar.update()
        return torch.stack(done[:views])

    @torch.no_grad()
    def _answer(self, images: ImageSet, drawn: Tensor) -> Tensor:
        """float16 [pictures, classes] of one view of all of them."""
        device = next(self.teacher.parameters()).device
        answers = []
        at_once = evaluation_batch(device)
        for pixels, draws in zip(images.pixels.split(at_once), drawn.split(at_once), strict=True):
            seen = self.augmentation.apply(normalise(pixels.to(device), self.preprocessing), draws)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                answers.append(self.teacher(seen.contiguous(memory_format=torch.channels_last)).half())
        return torch.cat(answers)


def _read(file: Path, pictures: int) -> Tensor:
    tensors, _ = load_tensors(file)
    logits = tensors.get(LOGITS)
    if logits is None or logits.ndim != 3 or logits.shape[1] != pictures:
        shape = None if logits is None else tuple(logits.shape)
        raise CheckpointError(f"{file}: {LOGITS} {shape}, must be (views, {pictures}, classes)")
    return logits
