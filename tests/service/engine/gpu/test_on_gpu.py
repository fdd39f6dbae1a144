"""What only a GPU can show. The other tests of this folder run there too, on the same kernels compiled."""

import logging
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from model_store.bundle import Bundle, check_bundle, decode_coded, encode_bundle
from service.bench.comparison import difference_of
from service.bench.synthetic import PROFILES, synthetic_bundle
from service.engine import compile_plan, decode_for
from service.engine.gpu import TorchPlan
from service.engine.gpu.options import DIRECT, KERNELS, TorchOptions
from service.engine.numpy_engine import NumpyPlan
from tests.service.bundles import pictures, residual_bundle
from tests.service.engine.cases import operator_cases
from tests.service.engine.gpu.devices import DEVICE, needs_gpu
from tests.service.engine.networks import NETWORKS

pytestmark = [pytest.mark.gpu, needs_gpu]
CASES = operator_cases()
BATCHES = range(1, 65)


def differences(plan: TorchPlan, bundle: Bundle, counts: range | list[int]) -> dict[int, float]:
    """How far logits are off by more than they may, by batch size."""
    batch = pictures(bundle, max(counts))
    expected = NumpyPlan(bundle).run(batch)
    found = {count: difference_of(plan.run(batch[:count]), expected[:count]) for count in counts}
    return {count: difference for count, difference in found.items() if not difference <= 1e-4}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_agrees_at_every_batch_size_whatever_is_fastest(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bundle = NETWORKS[name]()
    plan = TorchPlan(bundle, DEVICE, TorchOptions(graphs=64))
    assert differences(plan, bundle, BATCHES) == {}
    assert not caplog.messages  # all of them ran as CUDA graphs
    assert differences(plan, bundle, BATCHES) == {}  # replayed


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in {"dense-tf32", "dense-bfloat16"}])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_agrees_with_every_kernel(name: str, kernel: str) -> None:
    bundle = NETWORKS[name]()
    plan = TorchPlan(bundle, DEVICE, TorchOptions(kernels=(kernel,)))
    assert {kernel} == {found for by_batch in plan.layer_kernels.values() for found in by_batch.values()}
    assert differences(plan, bundle, [1, 2, 3, 16, 17, 64]) == {}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_as_a_graph(name: str) -> None:
    plan = TorchPlan(CASES[name], DEVICE)
    for _ in range(2):
        assert differences(plan, CASES[name], [1, 3]) == {}


def test_no_kernel_is_refused_for_what_it_computes() -> None:
    bundle = NETWORKS["resnet20"]()
    plan = TorchPlan(bundle, DEVICE, TorchOptions("bfloat16"))
    refused = {
        layer: choice.refused for layer, found in plan.choices.items() for choice in found.values() if choice.refused
    }
    assert refused == {}
    measured = {name for found in plan.choices.values() for choice in found.values() for name in choice.seconds}
    assert measured == {"sparse-product", *DIRECT, "dense-float32", "dense-bfloat16"}
    assert all(s > 0 for found in plan.choices.values() for choice in found.values() for s in choice.seconds.values())


def test_graphs_take_memory_that_is_counted_and_few_are_kept() -> None:
    bundle = NETWORKS["resnet20"]()
    plan = TorchPlan(bundle, DEVICE, TorchOptions(graphs=2))
    assert differences(plan, bundle, [1, 2, 3, 1]) == {}
    assert plan.resident_bytes > sum(plan.layer_bytes.values())


@pytest.mark.parametrize("profile", PROFILES)
def test_a_whole_bundle_is_decoded_on_the_gpu_as_on_the_host(profile: str) -> None:
    coded = check_bundle(encode_bundle(synthetic_bundle(profile, 0)))
    found, expected = decode_for(DEVICE, coded), decode_coded(coded)
    for mine, theirs in zip(found.tensors, expected.tensors, strict=True):
        assert np.array_equal(mine.to_dense(), theirs.to_dense())
    plan = compile_plan(found, DEVICE)
    assert isinstance(plan, TorchPlan)
    assert differences(plan, expected, [1, 16]) == {}


def test_only_compressed_bytes_cross_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_bundle(synthetic_bundle("sparse95", 0))
    uploaded: list[int] = []
    original: Callable[..., torch.Tensor] = torch.Tensor.to

    def noting(self: torch.Tensor, *values: object, **named: object) -> torch.Tensor:
        moved = original(self, *values, **named)
        if self.device.type == "cpu" and moved.device.type == "cuda":
            uploaded.append(self.numel() * self.element_size())
        return moved

    monkeypatch.setattr(torch.Tensor, "to", noting)
    decode_for(DEVICE, check_bundle(data))
    assert sum(uploaded) < 1.2 * len(data)


def test_two_plans_run_in_two_threads() -> None:
    bundle = residual_bundle()
    failed: list[dict[int, float]] = []

    def work() -> None:
        plan = TorchPlan(bundle, DEVICE)
        failed.extend(off for _ in range(20) if (off := differences(plan, bundle, [1, 4])))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_pictures_that_are_not_numbers_give_logits_that_are_not() -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 2)
    batch[0, 0, 0, 0] = np.nan
    logits = TorchPlan(bundle, DEVICE, TorchOptions(kernels=("direct-64",))).run(batch)
    assert np.isnan(logits[0]).any()
    assert np.isfinite(logits[1]).all()
