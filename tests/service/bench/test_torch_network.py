"""The dense torch network beside the numpy engine, operator by operator."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import load

from model_store.bundle import Bundle
from model_store.export_safetensors import export_safetensors
from model_store.graph import Node
from service.bench.torch_network import build_network
from service.engine.numpy_engine import NumpyPlan
from tests.service.bundles import CONV, bundle_of, floats, pictures, shared
from tests.service.engine.cases import operator_cases
from tests.service.engine.networks import NETWORKS

CASES = operator_cases()


def run_torch(bundle: Bundle, batch: np.ndarray) -> np.ndarray:
    network = build_network(bundle)
    network.load_state_dict(load(export_safetensors(bundle)))
    with torch.inference_mode():
        logits: np.ndarray = network(torch.from_numpy(batch)).numpy()
    return logits


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_with_the_numpy_engine(name: str) -> None:
    batch = pictures(CASES[name], 3)
    expected = NumpyPlan(CASES[name]).run(batch)
    np.testing.assert_allclose(run_torch(CASES[name], batch), expected, rtol=1e-4, atol=1e-5)


def test_borders_that_differ_on_two_sides_agree() -> None:
    window = {**CONV, "pads": (0, 1, 2, 3), "strides": (2, 1)}
    bundle = bundle_of([Node("Conv", (0,), (0, 1), window, "conv")], [shared((4, 3, 3, 3)), floats((4,))])
    batch = pictures(bundle, 2)
    np.testing.assert_allclose(run_torch(bundle, batch), NumpyPlan(bundle).run(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_network_agrees(name: str) -> None:
    bundle = NETWORKS[name]()
    batch = pictures(bundle, 2)
    expected = NumpyPlan(bundle).run(batch)
    assert np.abs(run_torch(bundle, batch) - expected).max() <= 1e-4 * np.abs(expected).max()
