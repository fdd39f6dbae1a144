"""Drawn pictures, small networks and exact messages for the tests of the compressor."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from compressor.data import ImageSet
from model_store.preprocessing import Preprocessing

TOY_PREPROCESSING = Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def exactly(message: str) -> str:
    """A pattern that only the whole message matches."""
    return rf"\A{re.escape(message)}\Z"


def toy_images(count: int = 64, seed: int = 0) -> ImageSet:
    """Noisy 8 x 8 pictures whose class is the channel that is bright: red, green or blue."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    pixels = torch.randint(0, 120, (count, 3, 8, 8), generator=generator)
    pixels[torch.arange(count), labels] += 100
    return ImageSet(pixels.to(torch.uint8), labels, ("red", "green", "blue"))


class ToyNet(nn.Module):
    """Two convolutions, BatchNorm, one linear layer; 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(images)))
        hidden = functional.relu(self.bn2(self.conv2(hidden)))
        logits: Tensor = self.fc(hidden.mean((2, 3)))
        return logits


def toy_net(seed: int = 0) -> ToyNet:
    torch.manual_seed(seed)
    return ToyNet()


def perturb_batchnorm(network: nn.Module, seed: int = 0) -> None:
    """Statistics, scales and biases as training leaves them: no two alike, none where it started."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            state = module.state_dict(keep_vars=True)
            for name, low, high in (
                ("running_mean", -0.3, 0.3),
                ("running_var", 0.5, 1.5),
                ("weight", 0.5, 1.2),
                ("bias", -0.2, 0.2),
            ):
                if name in state:
                    values = torch.rand(state[name].shape, generator=generator)
                    state[name].data.copy_(low + (high - low) * values)


def encoded(array: np.ndarray, suffix: str = "png") -> bytes:
    """One picture file: uint8 [height, width] or [height, width, 3 or 4]."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, suffix)
    return file.getvalue()


def plain(value: int, *, height: int = 4, width: int = 4, channels: int = 3) -> bytes:
    """A PNG of one colour."""
    return encoded(np.full((height, width, channels) if channels > 1 else (height, width), value, np.uint8))


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
