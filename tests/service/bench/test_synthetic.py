import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.tensors import SharedTensor
from service.bench.synthetic import PROFILES, Profile, synthetic_bundle
from service.engine.numpy_engine import NumpyPlan
from tests.service.bundles import pictures

made = cache(synthetic_bundle)


def density_of(bundle: Bundle, layer: str) -> float:
    index = next(index for index, name in bundle.graph.tensor_names().items() if name == f"{layer}.weight")
    tensor = bundle.tensors[index]
    return tensor.nonzeros / math.prod(tensor.shape)


@pytest.mark.parametrize("name", PROFILES)
def test_it_is_the_wide_stem_resnet18(name: str) -> None:
    bundle = made(name)
    assert bundle.parameters == 11_173_962
    assert bundle.dense_bytes == 4 * (11_173_962 + 2 * 4_800)  # BatchNorm's running statistics
    assert bundle.multiply_adds(dense=True) == 555_422_720
    assert bundle.sparsity == pytest.approx(0.95, abs=5e-4)


@pytest.mark.parametrize(("name", "expected"), [("sparse95", 71.2e6), ("uniform95", 27.8e6)])
def test_its_multiply_adds_are_those_of_the_reference(name: str, expected: float) -> None:
    assert made(name).multiply_adds() == pytest.approx(expected, abs=0.05e6)


@pytest.mark.parametrize(
    ("layer", "density"),
    [
        ("conv1", 0.6),
        ("layer1.1.conv2", 0.25),
        ("layer2.0.conv1", 0.13),
        ("layer2.0.shortcut", 0.15),
        ("layer3.1.conv1", 0.075),
        ("layer4.0.conv2", 0.033),
        ("layer4.0.shortcut", 0.15),
        ("linear", 0.3),
    ],
)
def test_each_layer_has_the_density_of_its_profile(layer: str, density: float) -> None:
    assert density_of(made("sparse95"), layer) == pytest.approx(density, abs=1e-3)
    assert density_of(made("uniform95"), layer) == pytest.approx(0.05, abs=1e-3)


def test_weights_are_two_tails_beyond_a_threshold_that_share_few_values() -> None:
    tensor = next(tensor for tensor in made("sparse95").tensors if tensor.shape == (512, 512, 3, 3))
    assert isinstance(tensor, SharedTensor)
    values = tensor.codebook.astype(np.float64)[tensor.codes]
    positive, negative = values[values > 0], -values[values < 0]
    assert 16 <= len(tensor.codebook) <= 32
    assert min(positive.min(), negative.min()) > 0.5 * np.abs(values).mean()  # nothing is left near zero
    assert len(positive) == pytest.approx(len(negative), rel=0.05)
    sizes = np.abs(values)
    assert sizes.std() / sizes.mean() == pytest.approx(1 / (1 - math.log(0.033)), rel=0.05)  # an exponential's, shifted


@pytest.mark.parametrize("name", PROFILES)
def test_activations_keep_their_size(name: str) -> None:
    logits = NumpyPlan(made(name)).run(pictures(made(name), 2))
    assert np.isfinite(logits).all()
    assert 0.1 < np.abs(logits).mean() < 1000


def test_the_seed_decides_and_the_file_holds_it() -> None:
    data = encode_bundle(made("uniform95"))
    assert encode_bundle(synthetic_bundle("uniform95")) == data
    assert encode_bundle(synthetic_bundle("uniform95", seed=1)) != data
    assert decode_bundle(data).provenance == {"synthetic": "uniform95", "seed": 0}


@pytest.mark.parametrize("density", [0.0, 1.5])
def test_a_density_is_a_share(density: float) -> None:
    with pytest.raises(ValueError, match=rf"profile: density {density}, must be in \(0, 1\]"):
        Profile(0.1, (0.1, density, 0.1, 0.1), 0.1, 0.1)


def test_make_bench_measures_every_profile() -> None:
    makefile = Path(__file__).parents[3] / "Makefile"
    assert re.findall(r"synthetic:(\w+)", makefile.read_text()) == list(PROFILES)
