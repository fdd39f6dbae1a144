import builtins
import itertools
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from model_store.bundle import Bundle, check_bundle, encode_bundle
from service.engine import compile_plan, decode_for
from service.engine.gpu import TorchPlan
from service.engine.gpu.options import TorchOptions
from service.engine.gpu.recordings import Recording, Run
from service.engine.numpy_engine import NumpyPlan
from service.errors import EngineFailure, EngineUnavailable
from tests.service.bundles import pictures, residual_bundle
from tests.service.engine.cases import convolutions, operator_cases
from tests.service.engine.gpu.devices import DEVICE

CASES = operator_cases()
PLAIN = TorchOptions(kernels=("sparse-product", "dense-float32"), batches=(1, 4))


def agrees(plan: TorchPlan, bundle: Bundle, count: int = 3, tolerance: float = 1e-4) -> None:
    batch = pictures(bundle, count)
    np.testing.assert_allclose(plan.run(batch), NumpyPlan(bundle).run(batch), rtol=tolerance, atol=tolerance / 10)


def clock(**seconds: float) -> Callable[[str, Callable[[], object]], float]:
    """Runs what it times; names are written with underscores here, and those not told take a second."""

    def time(name: str, run: Callable[[], object]) -> float:
        assert torch.isfinite(run()).all()  # type: ignore[call-overload]
        return seconds.get(name.replace("-", "_").replace(" ", "_"), 1.0)

    return time


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_with_the_numpy_engine(name: str) -> None:
    agrees(TorchPlan(CASES[name], DEVICE, PLAIN), CASES[name])


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_a_convolution_agrees_with_the_numpy_engine(bundle: Bundle) -> None:
    for kernel in ("sparse-product", "dense-float32"):
        agrees(TorchPlan(bundle, DEVICE, TorchOptions(kernels=(kernel,), batches=(1,))), bundle, 2)


def test_shared_weights_are_held_as_csr() -> None:
    bundle = residual_bundle()
    plan = TorchPlan(bundle, DEVICE, TorchOptions(kernels=("sparse-product",), graphs=0))
    nonzeros = bundle.tensors[0].nonzeros
    assert plan.layer_bytes["stem"] == 4 * (6 + 1) + 8 * nonzeros
    assert plan.layer_bytes["stem.bn"] == 4 * (6 + 6)
    assert plan.resident_bytes == sum(plan.layer_bytes.values())


def test_the_fastest_kernel_of_each_layer_and_batch_size_is_kept_and_told() -> None:
    bundle = residual_bundle()
    plan = TorchPlan(bundle, DEVICE, PLAIN, clock(sparse_product=2.0, dense_float32=1.0), unrecorded)
    assert plan.layer_kernels["stem"] == {1: "dense-float32", 4: "dense-float32"}
    assert plan.layer_kernels["block.shortcut"] == {1: "dense-float32", 4: "dense-float32"}
    assert plan.choices["stem"][4].seconds == {"sparse-product": 2.0, "dense-float32": 1.0}
    assert plan.layer_bytes["stem"] == 4 * 6 * 3 * 9
    agrees(plan, bundle)


def test_kernels_may_differ_between_batch_sizes_and_what_they_share_is_held_once() -> None:
    times = itertools.cycle([1.0, 2.0] * 4 + [2.0, 1.0] * 4)  # four sparse layers, at two batch sizes

    def time(name: str, run: Callable[[], object]) -> float:
        return 1.0 if name.startswith("network") else next(times)

    bundle = residual_bundle()
    plan = TorchPlan(bundle, DEVICE, PLAIN, time, unrecorded)
    assert plan.layer_kernels["stem"] == {1: "sparse-product", 4: "dense-float32"}
    nonzeros = bundle.tensors[0].nonzeros
    assert plan.layer_bytes["stem"] == 4 * (6 + 1) + 8 * nonzeros + 4 * 6 * 3 * 9
    for count in (1, 2, 5):
        agrees(plan, bundle, count)


def test_a_network_that_is_faster_dense_throughout_is_run_dense() -> None:
    layers = {"sparse_product": 1.0, "dense_float32": 2.0}
    bundle = residual_bundle()
    mixed = TorchPlan(bundle, DEVICE, PLAIN, clock(**layers, network_of_dense_kernels=2.0), unrecorded)
    dense = TorchPlan(bundle, DEVICE, PLAIN, clock(**layers, network_of_dense_kernels=0.5), unrecorded)
    assert mixed.layer_kernels["stem"] == {1: "sparse-product", 4: "sparse-product"}
    assert dense.layer_kernels["stem"] == {1: "dense-float32", 4: "dense-float32"}
    agrees(dense, bundle)


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 1e-2), ("bfloat16", 5e-2)])
def test_dense_layers_may_round_where_that_is_asked_for(precision: str, tolerance: float) -> None:
    bundle = residual_bundle()
    options = TorchOptions(precision, (f"dense-{precision}",), (1,))
    plan = TorchPlan(bundle, DEVICE, options, clock(), unrecorded)
    assert set(plan.layer_kernels["stem"].values()) == {f"dense-{precision}"}
    agrees(plan, bundle, tolerance=tolerance)


def unrecorded(run: Run, example: torch.Tensor) -> Recording:
    return Recording(run, 0)


def test_runs_are_recorded_by_batch_size_and_counted() -> None:
    recorded: list[tuple[int, ...]] = []

    def record(run: Run, example: torch.Tensor) -> Recording:
        recorded.append(tuple(example.shape))
        return Recording(run, 1000)

    bundle = residual_bundle()
    plan = TorchPlan(bundle, DEVICE, PLAIN, clock(), record)
    for count in (2, 2, 5):
        agrees(plan, bundle, count)
    assert recorded == [(3, 8, 8, 2), (3, 8, 8, 5)]
    assert plan.resident_bytes == sum(plan.layer_bytes.values()) + 2000


def test_a_batch_too_large_for_one_run_is_run_in_parts() -> None:
    bundle = CASES["GlobalAveragePool"]
    agrees(TorchPlan(bundle, DEVICE, PLAIN), bundle, 1030)


def test_pictures_that_are_on_the_device_already_are_run_there() -> None:
    bundle = residual_bundle()
    plan = TorchPlan(bundle, DEVICE, PLAIN)
    batch = pictures(bundle, 3)
    logits = plan.run_on_device(torch.from_numpy(batch).to(DEVICE))
    assert logits.device.type == DEVICE
    assert np.array_equal(logits.cpu().numpy(), plan.run(batch))


def test_a_batch_of_another_shape_is_refused() -> None:
    with pytest.raises(EngineFailure, match=r"must be float32 of \(n >= 1, 3, 8, 8\)"):
        TorchPlan(residual_bundle(), DEVICE, PLAIN).run(np.zeros((1, 3, 8, 9), dtype=np.float32))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_torch_cannot_use_is_refused(device: str) -> None:
    bundle = residual_bundle()
    for use in (lambda: compile_plan(bundle, device), lambda: decode_for(device, check_bundle(encode_bundle(bundle)))):
        with pytest.raises(EngineUnavailable) as caught:
            use()
        assert str(caught.value).startswith(f'device "{device}": torch cannot use it: ')
        assert "\n" not in str(caught.value)


def test_a_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_torch(name: str, *arguments: object) -> object:
        if name == "torch" or name.startswith("torch."):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return original(name, *arguments)  # type: ignore[arg-type]

    bundle = residual_bundle()
    coded = check_bundle(encode_bundle(bundle))
    for module in [name for name in sys.modules if name.startswith("service.engine.gpu")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_torch)
    for use in (lambda: compile_plan(bundle, "cuda"), lambda: decode_for("cuda", coded)):
        with pytest.raises(EngineUnavailable) as caught:
            use()
        assert str(caught.value) == 'device "cuda": needs torch, which is not installed (pip install csrve[gpu])'
