"""CIFAR-10 and MNIST by torchvision's own download.

torchvision's wheel on PyPI is built against CUDA torch; beside a CPU-only torch its import fails with "operator
torchvision::nms does not exist", because the compiled operators are absent. Defining the two schemas first is enough
for its data sets, transforms and models, which never call them.
"""

import importlib
from pathlib import Path
from types import ModuleType

import torch
from PIL import Image

from compressor.errors import DataError

TORCHVISION_SETS = {"cifar10": "CIFAR10", "mnist": "MNIST"}
DOWNLOAD_FOLDER = Path("~/.cache/csrve/data").expanduser()
_ABSENT_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """Import torchvision, or one of its modules, beside a torch of either build."""
    if torch.version.cuda is None:
        for name, schema in _ABSENT_SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", schema)
    return importlib.import_module(module)


def download(name: str, split: str) -> tuple[list[tuple[Image.Image, int]], tuple[str, ...]]:
    """Fetch (once) and return a torchvision data set as (pictures with labels, class names).

    Raises:
        DataError: it can neither be found nor downloaded.
    """
    datasets = import_torchvision("torchvision.datasets")
    try:
        data = getattr(datasets, TORCHVISION_SETS[name])(DOWNLOAD_FOLDER, train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"--data {name}: cannot be downloaded to {DOWNLOAD_FOLDER} ({error})") from error
    return [(picture, int(label)) for picture, label in data], tuple(data.classes)
