"""ImageNet's layout and torchvision's networks: the recipes run on them, shown on a few made pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.cli import main
from model_store.bundle import decode_bundle
from model_store.store import Store
from service.engine import compile_plan

pytestmark = pytest.mark.slow

SYNSETS = ("n01440764", "n01443537", "n01484850")
QUIET = ("--quiet", "--threads", "2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEGs of all sizes, a colour a class, in train/<synset>/ and val/<synset>/."""
    root, random = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 6)):
        for number, synset in enumerate(SYNSETS):
            folder = root / split / synset
            folder.mkdir(parents=True)
            for index in range(count):
                sides = (*random.integers(120, 300, 2), 3)
                noisy = random.normal(60, 30, sides)
                noisy[..., number] += 120
                Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{synset}_{index}.JPEG")
    return root


@pytest.mark.parametrize(
    ("network", "method"),
    [
        (
            "resnet18",
            ("--structure", "admm", "--structure-kinds", "columns,filters", "--remove", "--purify", "0,1,0,0"),
        ),
        ("squeezenet1_1", ("--structure", "l1", "--structure-end", "0", "--remove", "--remove-epochs", "1")),
        ("alexnet", ("--sparsity", "0.9", "--floors", "0.01", "--refresh-steps", "2", "--codebooks", "network")),
    ],
)
def test_torchvisions_networks_go_the_whole_way(
    pictures: Path, tmp_path: Path, network: str, method: tuple[str, ...]
) -> None:
    training = ("--epochs", "1", "--batch-size", "8", "--learning-rate", "0.001", "--ema-decay", "0", *QUIET)
    dense = ["--network", f"torchvision:{network}", "--data", str(pictures), "--output", str(tmp_path / "dense")]
    assert main(["train", *dense, "--holdout", "9", *training]) == 0
    given = ["--weights", str(tmp_path / "dense" / "network.safetensors"), "--data", str(pictures), "--name", network]
    places = ["--store", str(tmp_path / "store"), "--run", str(tmp_path / "run"), "--centroid-epochs", "1"]
    assert main(["compress", *given, *places, *method, *training]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["bundle_bytes"] < record["dense_bytes"] / 5
    assert record["multiply_adds"] < record["dense_multiply_adds"]
    assert (record["parameters_left"] < record["parameters"]) == ("--remove" in method)
    bundle = decode_bundle(Store(tmp_path / "store").read(network, 1).data)
    assert bundle.class_names == SYNSETS
    logits = compile_plan(bundle).run(np.zeros((1, *bundle.preprocessing.input_shape), dtype=np.float32))
    assert np.isfinite(logits).all()
