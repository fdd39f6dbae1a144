"""Random crops, flips and cutout on a whole batch at once, on the device, from one seeded generator."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Pad by `padding` and crop at random, flip half of the pictures, blank a square of `cutout` pixels (0: off)."""

    padding: int = 4
    flip: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.padding < 0 or self.cutout < 0:
            raise RecipeError(f"augmentation: padding {self.padding}, cutout {self.cutout}, must not be negative")

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment [batch, channels, height, width]; blanks are 0, which is the mean of normalised pictures."""
        if self.padding:
            images = _crop(images, self.padding, generator)
        if self.flip:
            chosen = torch.rand(len(images), generator=generator) < 0.5
            images = torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)
        if self.cutout:
            images = _cut(images, self.cutout, generator)
        return images


def _crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    top = torch.randint(2 * padding + 1, (batch,), generator=generator).to(images.device)
    left = torch.randint(2 * padding + 1, (batch,), generator=generator).to(images.device)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    index = torch.arange(batch, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cut(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    top = torch.randint(1 - size, height, (batch, 1), generator=generator).to(images.device)
    left = torch.randint(1 - size, width, (batch, 1), generator=generator).to(images.device)
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)
