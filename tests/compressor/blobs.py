"""Drawn pictures and tiny networks for the compressor's tests: bars, crosses and dots on noise."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from compressor.data.augmentation import Augmentation
from compressor.data.images import ImageSet
from compressor.networks.card import NetworkCard
from compressor.training.recipe import TrainRecipe
from compressor.training.samples import Samples
from model_store.preprocessing import Preprocessing

CLASSES = ("bar", "dot", "pole")
TINY = "tests.compressor.blobs:TinyNetwork"
PLAIN = "tests.compressor.blobs:PlainNetwork"
TINY_PREPROCESSING = Preprocessing(8, 8, (0.3,), (0.25,))
TINY_CARD = NetworkCard(TINY, TINY_PREPROCESSING, CLASSES)


class TinyNetwork(nn.Module):
    """Two convolutions with BatchNorm and a linear layer over 8 x 8 grey pictures: 54 + 432 + 24 weights."""

    input_shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = nn.functional.max_pool2d(self.bn1(self.conv1(images)).relu(), 2)
        hidden = self.bn2(self.conv2(hidden)).relu()
        logits: Tensor = self.linear(nn.functional.adaptive_avg_pool2d(hidden, 1).flatten(1))
        return logits


class PlainNetwork(TinyNetwork):
    """The same without BatchNorm: what comes out for a picture does not depend on the others of its batch."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__(classes)
        self.bn1, self.bn2 = nn.Identity(), nn.Identity()  # type: ignore[assignment]


def tiny_network(seed: int = 0) -> TinyNetwork:
    """Its initial weights depend on the seed alone."""
    torch.manual_seed(seed)
    return TinyNetwork()


def two_layers(seed: int = 0) -> nn.Sequential:
    """6-5-3, fully connected, the first layer without bias: weights "0.weight" and "2.weight"."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 3))


def draw(count: int, seed: int, side: int = 8, noise: int = 60) -> ImageSet:
    """Grey pictures, as many of each class: a horizontal bar, a square dot, a vertical pole; noise below `noise`."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, noise, (count, 1, side, side), dtype=np.uint8)
    labels = np.arange(count) % len(CLASSES)
    thick = max(1, side // 8)
    for picture, label in zip(pixels[:, 0], labels, strict=True):
        row, column = random.integers(thick, side - 2 * thick, 2)
        line, dot = thick * np.array([0, 1]), thick * np.array([-1, 2])
        rows = slice(None) if label == 2 else slice(*(row + (line if label == 0 else dot)))
        columns = slice(None) if label == 0 else slice(*(column + (line if label == 2 else dot)))
        picture[rows, columns] = random.integers(170, 256)
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)), CLASSES)


TINY_SAMPLES = Samples(draw(64, 1), TINY_PREPROCESSING)


def write_pictures(folder: Path, images: ImageSet, split: str) -> None:
    """As PNG files `<split>/<class>/<number>.png`."""
    for number, (picture, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        path = folder / split / images.class_names[int(label)] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0].numpy()).save(path)


def quick_training(**changes: Any) -> TrainRecipe:
    """Two epochs of small batches."""
    fields: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.05,
        "ema_decay": 0.9,
        "holdout": 30,
        "augmentation": Augmentation(padding=1, flip=False),
    }
    return TrainRecipe(**(fields | changes))


def same_state(first: nn.Module, second: nn.Module) -> bool:
    """Bit for bit, in every parameter and buffer."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
