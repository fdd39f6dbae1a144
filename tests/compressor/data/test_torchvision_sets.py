import importlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from compressor.data import torchvision_sets
from compressor.data.torchvision_sets import TORCHVISION_SETS, download, import_torchvision
from compressor.errors import DataError
from tests.compressor.toys import exactly

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


class Drawn:
    """Stands for a data set class of torchvision."""

    asked: tuple[Any, ...] = ()
    classes = ["zero", "one"]  # noqa: RUF012 (a list, as torchvision has it)

    def __init__(self, root: Path, *, train: bool, download: bool) -> None:
        type(self).asked = (root, train, download)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index > 1:
            raise IndexError(index)
        return Image.new("L", (28, 28), 10 * index), 1 - index


@needs_torchvision
def test_torchvision_is_imported_beside_either_torch_with_the_sets_we_name() -> None:
    datasets = import_torchvision("torchvision.datasets")
    assert all(hasattr(datasets, name) for name in TORCHVISION_SETS.values())
    assert import_torchvision("torchvision.datasets") is datasets  # the schemas are defined once only


@needs_torchvision
def test_without_a_network_torchvisions_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def refuse(*arguments: object, **keywords: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr(torchvision_sets, "DOWNLOAD_FOLDER", tmp_path)
    import_torchvision("torchvision.datasets")
    with pytest.raises(DataError, match=rf"\A--data cifar10: cannot be downloaded to {tmp_path} \("):
        download("cifar10", "train")


def test_the_schemas_that_a_cpu_torch_lacks_are_defined_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.ops, "torchvision", SimpleNamespace(qnms=None), raising=False)
    monkeypatch.setattr(torch.library, "define", lambda name, schema: order.append(name))
    monkeypatch.setattr(importlib, "import_module", order.append)
    import_torchvision("torchvision.datasets")
    assert order == ["torchvision::nms", "torchvision.datasets"]


def test_beside_a_cuda_torch_no_schema_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.library, "define", lambda name, schema: order.append(name))
    monkeypatch.setattr(importlib, "import_module", order.append)
    import_torchvision()
    assert order == ["torchvision"]


@pytest.mark.parametrize(("split", "train"), [("train", True), ("test", False)])
def test_a_download_gives_pictures_labels_and_classes(monkeypatch: pytest.MonkeyPatch, split: str, train: bool) -> None:
    monkeypatch.setattr(torchvision_sets, "import_torchvision", lambda module: SimpleNamespace(MNIST=Drawn))
    pictures, classes = download("mnist", split)
    assert Drawn.asked == (torchvision_sets.DOWNLOAD_FOLDER, train, True)
    assert classes == ("zero", "one")
    assert [label for _, label in pictures] == [1, 0]
    assert [picture.getpixel((0, 0)) for picture, _ in pictures] == [0, 10]


@pytest.mark.parametrize("error", [OSError("Name or service not known"), RuntimeError("File not found or corrupted.")])
def test_a_download_that_fails_is_a_data_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(torchvision_sets, "import_torchvision", lambda module: SimpleNamespace(CIFAR10=refuse))
    message = f"--data cifar10: cannot be downloaded to {torchvision_sets.DOWNLOAD_FOLDER} ({error})"
    with pytest.raises(DataError, match=exactly(message)):
        download("cifar10", "train")
