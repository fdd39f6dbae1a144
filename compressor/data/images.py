"""A data set as one uint8 tensor, its labels and its identity."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from compressor.data.pictures import PictureFile, find_pictures
from compressor.data.torchvision_sets import TORCHVISION_SETS, download
from compressor.errors import DataError
from model_store.preprocessing import Preprocessing

SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures uint8 [count, channels, height, width], labels int64 [count], class names in label order."""

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise DataError(f"pixels: {self.pixels.dtype} of rank {self.pixels.ndim}, must be uint8 of rank 4")
        if len(self.pixels) != len(self.labels) or len(self.pixels) == 0:
            raise DataError(f"{len(self.pixels)} pictures and {len(self.labels)} labels, must be equally many, not 0")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def digest(self) -> str:
        """SHA-256 over shape, pixels and labels: which data a result was measured on."""
        digest = hashlib.sha256(repr(tuple(self.pixels.shape)).encode())
        digest.update(self.pixels.numpy().tobytes())
        digest.update(self.labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per-channel mean and standard deviation of the pixels scaled to [0, 1], to four digits."""
        mean, std = [], []
        for channel in range(self.pixels.shape[1]):
            values = self.pixels[:, channel].double() / 255
            mean.append(round(float(values.mean()), 4))
            std.append(round(float(values.std()), 4))
        return tuple(mean), tuple(std)

    def subset(self, indices: Tensor) -> "ImageSet":
        return ImageSet(self.pixels[indices], self.labels[indices], self.class_names)


def preprocessing_of(images: ImageSet) -> Preprocessing:
    """The pictures' size and their own statistics."""
    mean, std = images.statistics()
    height, width = (int(side) for side in images.pixels.shape[2:])
    return Preprocessing(height, width, mean, tuple(value or 1.0 for value in std))  # 0: no contrast in a channel


def split_images(images: ImageSet, holdout: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split into (rest, holdout), drawn at random with a fixed seed: thresholds and epochs are chosen on the holdout.

    Raises:
        DataError: the holdout would leave nothing to train on.
    """
    if not 0 < holdout < len(images):
        raise DataError(f"holdout = {holdout}, must be in 1..{len(images) - 1}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(order[holdout:]), images.subset(order[:holdout])


def load_images(data: str, split: str, input_shape: tuple[int, int, int], *, progress: bool = True) -> ImageSet:
    """Decode one split of a data set.

    Args:
        data: a folder with `<split>/<class>/*`, such zips, or `cifar10` / `mnist` for torchvision's download.
        split: `train` or `test`.
        input_shape: (channels, height, width); pictures of another size or mode are converted (bilinear).

    Raises:
        DataError: the data is missing, damaged, or has fewer than two classes.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r}, must be one of {', '.join(SPLITS)}")
    if data in TORCHVISION_SETS:
        pictures, class_names = download(data, split)
        arrays = [_fit(picture, input_shape) for picture, _ in pictures]
        return _stack(arrays, [label for _, label in pictures], class_names)
    files = tqdm(find_pictures(Path(data), split), desc=f"decode {split}", unit=" pictures", disable=not progress)
    arrays, names = [], []
    for file in files:
        arrays.append(_decode(file, input_shape))
        names.append(file.class_name)
    class_names = tuple(sorted(set(names)))
    if len(class_names) < 2:
        raise DataError(f"--data {data}: {split} has only the class {class_names[0]!r}, must have two or more")
    label_of = {name: label for label, name in enumerate(class_names)}
    return _stack(arrays, [label_of[name] for name in names], class_names)


def _stack(arrays: list[np.ndarray], labels: list[int], class_names: tuple[str, ...]) -> ImageSet:
    return ImageSet(torch.from_numpy(np.stack(arrays)), torch.tensor(labels, dtype=torch.int64), class_names)


def _decode(file: PictureFile, input_shape: tuple[int, int, int]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(file.content)) as picture:
            return _fit(picture, input_shape)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file.class_name}/{file.name}: not a readable picture ({error})") from error


def _fit(picture: Image.Image, input_shape: tuple[int, int, int]) -> np.ndarray:
    channels, height, width = input_shape
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)
