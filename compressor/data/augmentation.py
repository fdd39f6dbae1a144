"""Random crops, flips, cutout and mixup on a whole batch at once, on the device; drawn by one seeded generator."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compressor.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Pad by `padding` and crop at random, flip half of the pictures, blank a square of `cutout` pixels (0: off).

    Attributes:
        mixup: a of the Beta(a, a) that draws how much of another picture, and of its label, each batch's pictures take
            on (Zhang et al. 2018, "mixup"); 0: none.
    """

    padding: int = 4
    flip: bool = True
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if self.padding < 0 or self.cutout < 0:
            raise RecipeError(f"augmentation: padding {self.padding}, cutout {self.cutout}, must not be negative")
        if not 0 <= self.mixup <= 100:
            raise RecipeError(f"augmentation: mixup {self.mixup}, must be in 0..100")

    def draw(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """How `count` pictures are changed, int16 [count, 5]: top and left of the crop, flipped or not, top and left of
        the blank."""
        drawn = torch.zeros(count, 5, dtype=torch.int16)
        if self.padding:
            drawn[:, 0] = torch.randint(2 * self.padding + 1, (count,), generator=generator)
            drawn[:, 1] = torch.randint(2 * self.padding + 1, (count,), generator=generator)
        if self.flip:
            drawn[:, 2] = torch.rand(count, generator=generator) < 0.5
        if self.cutout:
            drawn[:, 3] = torch.randint(1 - self.cutout, height, (count,), generator=generator)
            drawn[:, 4] = torch.randint(1 - self.cutout, width, (count,), generator=generator)
        return drawn

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Change [batch, channels, height, width] as drawn; blanks are 0, which is the mean of normalised pictures."""
        top, left, flipped, blank_top, blank_left = drawn.to(images.device).long().unbind(1)
        if self.padding:
            images = _crop(images, self.padding, top, left)
        if self.flip:
            images = torch.where(flipped.bool()[:, None, None, None], images.flip(3), images)
        if self.cutout:
            images = _cut(images, self.cutout, blank_top[:, None], blank_left[:, None])
        return images


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Pictures [batch, ...] blended with those of the same batch in another order.

    Attributes:
        share: of each picture itself, 0..1; the rest is that of its partner, and so is the label.
        partners: which picture each is blended with, int64 [batch].
    """

    images: Tensor
    share: float
    partners: Tensor


def mix(images: Tensor, concentration: float, generator: torch.Generator) -> Mixture:
    """Blend a batch with itself by one share drawn from Beta(a, a), a = `concentration`, above 0."""
    seed = int(torch.randint(1 << 62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(concentration, concentration))  # torch draws Beta without generator
    partners = torch.randperm(len(images), generator=generator).to(images.device)
    return Mixture(torch.lerp(images[partners], images, share), share, partners)


def _crop(images: Tensor, padding: int, top: Tensor, left: Tensor) -> Tensor:
    batch, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    index = torch.arange(batch, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cut(images: Tensor, size: int, top: Tensor, left: Tensor) -> Tensor:
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)
