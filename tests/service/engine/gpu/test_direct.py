"""The direct kernel, in Triton's interpreter where there is no GPU."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.bundle import Bundle
from model_store.graph import Node
from model_store.tensors import SharedTensor
from service.engine.gpu import TorchPlan
from service.engine.gpu.csr import DeviceCsr
from service.engine.gpu.direct import Direct
from service.engine.gpu.epilogue import Epilogue
from service.engine.gpu.geometry import Geometry
from service.engine.gpu.options import DIRECT, TorchOptions
from service.engine.lowering import Step
from service.engine.numpy_engine import NumpyPlan
from tests.service.bundles import CONV, bundle_of, pictures, residual_bundle, shared
from tests.service.engine.cases import convolutions, operator_cases
from tests.service.engine.gpu.devices import DEVICE

CASES = operator_cases()


def direct_plan(bundle: Bundle, kernel: str = "direct-64") -> TorchPlan:
    plan = TorchPlan(bundle, DEVICE, TorchOptions(kernels=(kernel,), graphs=0))
    sparse = {node.name for node in bundle.graph.nodes for t in node.tensors[:1] if is_sparse(bundle, node, t)}
    assert {name for name, found in plan.layer_kernels.items() if set(found.values()) == {kernel}} == sparse
    return plan


def is_sparse(bundle: Bundle, node: Node, tensor: int) -> bool:
    return node.operator in {"Conv", "Gemm"} and isinstance(bundle.tensors[tensor], SharedTensor)


@pytest.mark.parametrize("name", [name for name in CASES if "Conv" in name or "Gemm" in name or "network" in name])
def test_an_operator_and_what_was_fused_into_it_agree_with_the_numpy_engine(name: str) -> None:
    batch = pictures(CASES[name], 3)
    expected = NumpyPlan(CASES[name]).run(batch)
    np.testing.assert_allclose(direct_plan(CASES[name]).run(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", DIRECT)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_network_agrees_in_blocks_of_every_size(kernel: str, count: int) -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, count)
    expected = NumpyPlan(bundle).run(batch)
    np.testing.assert_allclose(direct_plan(bundle, kernel).run(batch), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(convolutions(), st.integers(1, 3))
def test_a_convolution_of_any_shape_agrees_with_torch(bundle: Bundle, count: int) -> None:
    (node, *_), (weight, *_) = bundle.graph.nodes, bundle.tensors
    batch = torch.from_numpy(pictures(bundle, count))
    top, left, bottom, right = node.ints("pads")
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(batch, (left, right, top, bottom)),
        torch.from_numpy(weight.to_dense()),
        None,
        node.ints("strides"),
        0,
        node.ints("dilations"),
        *node.ints("group"),
    )
    found = direct_plan(bundle).run(batch.numpy())
    np.testing.assert_allclose(found, expected.flatten(1), rtol=1e-4, atol=1e-5)


def one_row(values: Sequence[float], bounds: tuple[float, float] | None) -> torch.Tensor:
    """What the kernel makes of one pixel with four channels, of which the filter takes those that are not the last."""
    weight = shared((1, 4, 1, 1), density=1.0)
    weight = replace(weight, positions=weight.positions[:3], codes=weight.codes[:3])
    window = {**CONV, "pads": (0, 0, 0, 0)}
    step = Step(Node("Conv", (0,), (0,), window, "conv"), (0,), 1, (1, 1, 1), weight=weight, bounds=bounds)
    csr = DeviceCsr.of_tensor(weight, torch.device(DEVICE))
    direct = Direct.of(csr, Geometry.of(step, (4, 1, 1)), Epilogue.of(step, torch.device(DEVICE)))
    return direct.with_block(64)(torch.tensor(values, device=DEVICE).view(4, 1, 1, 1)).cpu()


def test_what_is_not_a_number_stays_so_behind_a_relu() -> None:
    assert torch.isnan(one_row([1.0, float("nan"), 1.0, 1.0], (0.0, float("inf")))).all()


def test_a_pixel_under_a_zero_weight_is_not_touched() -> None:
    assert torch.isfinite(one_row([1.0, 1.0, 1.0, float("inf")], None)).all()


def test_an_empty_filter_gives_zeros() -> None:
    weight = SharedTensor((2, 3, 3, 3), np.array([30], np.int32), np.zeros(1, np.uint16), np.array([0.5], np.float16))
    bundle = bundle_of([Node("Conv", (0,), (0,), CONV, "conv")], [weight])
    answers = direct_plan(bundle).run(pictures(bundle, 2)).reshape(2, 2, -1)
    assert not answers[:, 0].any()
    assert answers[:, 1].any()


def test_planes_that_32_bits_cannot_number_are_left_to_other_kernels() -> None:
    window = {**CONV, "pads": (2000, 2000, 2000, 2000), "strides": (1000, 1000)}
    bundle = bundle_of([Node("Conv", (0,), (0,), window, "conv")], [shared((2, 3, 3, 3))])
    plan = TorchPlan(bundle, DEVICE, TorchOptions(kernels=DIRECT, batches=(1,), graphs=0))
    assert plan.layer_kernels == {"conv": {1: "sparse-product"}}
