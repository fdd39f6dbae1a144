import builtins
import sys

import numpy as np
import pytest
from hypothesis import given, settings

torch = pytest.importorskip("torch")

from model_store.bundle import Bundle  # noqa: E402
from service.engine import compile_plan  # noqa: E402
from service.engine.numpy_engine import NumpyPlan  # noqa: E402
from service.engine.torch_engine import TorchPlan  # noqa: E402
from service.errors import EngineFailure, EngineUnavailable  # noqa: E402
from tests.service.bundles import pictures, residual_bundle  # noqa: E402
from tests.service.engine.cases import convolutions, operator_cases  # noqa: E402

CASES = operator_cases()


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_with_the_numpy_engine(name: str) -> None:
    batch = pictures(CASES[name], 3)
    expected = NumpyPlan(CASES[name]).run(batch)
    np.testing.assert_allclose(TorchPlan(CASES[name], "cpu").run(batch), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_a_convolution_agrees_with_the_numpy_engine(bundle: Bundle) -> None:
    batch = pictures(bundle, 2)
    expected = NumpyPlan(bundle).run(batch)
    np.testing.assert_allclose(TorchPlan(bundle, "cpu").run(batch), expected, rtol=1e-4, atol=1e-5)


def test_shared_weights_are_held_as_csr() -> None:
    bundle = residual_bundle()
    plan = TorchPlan(bundle, "cpu")
    nonzeros = bundle.tensors[0].nonzeros
    assert plan.layer_bytes["stem"] == 4 * (6 + 1) + 8 * nonzeros
    assert plan.layer_bytes["stem.bn"] == 4 * (6 + 6)
    assert plan.resident_bytes == sum(plan.layer_bytes.values())


def test_a_batch_of_another_shape_is_refused() -> None:
    with pytest.raises(EngineFailure, match=r"must be float32 of \(n >= 1, 3, 8, 8\)"):
        TorchPlan(residual_bundle(), "cpu").run(np.zeros((1, 3, 8, 9), dtype=np.float32))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_torch_cannot_use_is_refused(device: str) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        compile_plan(residual_bundle(), device)
    assert str(caught.value).startswith(f'device "{device}": torch cannot use it: ')
    assert "\n" not in str(caught.value)


def test_a_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_torch(name: str, *arguments: object) -> object:
        if name == "torch" or name.startswith("torch."):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return original(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "service.engine.torch_engine")
    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(EngineUnavailable) as caught:
        compile_plan(residual_bundle(), "cuda")
    assert str(caught.value) == 'device "cuda": needs torch, which is not installed (pip install csrve[gpu])'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_numpy_engine() -> None:
    bundle = residual_bundle()
    batch = pictures(bundle, 5)
    expected = NumpyPlan(bundle).run(batch)
    np.testing.assert_allclose(compile_plan(bundle, "cuda").run(batch), expected, rtol=1e-3, atol=1e-4)
