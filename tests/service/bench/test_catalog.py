from importlib.machinery import ModuleSpec

import pytest

from service.bench import catalog
from service.bench.catalog import choose_engines
from service.errors import BenchError


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """As if all modules were installed but these."""
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name in missing else ModuleSpec(name, None))


def test_engines_run_in_the_order_in_which_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    choice = choose_engines(("numpy", "native"), ("openvino", "torch"))
    assert [kind.name for kind in choice.present] == ["numpy", "native", "openvino", "torch", "torch-channels-last"]
    assert [kind.dense for kind in choice.present] == [False, False, True, True, True]
    assert choice.absent == {}


def test_absent_peers_are_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "openvino", "torch", "onnx")
    choice = choose_engines(("numpy",), ("torch-compile", "onnxruntime", "openvino"))
    assert [kind.name for kind in choice.present] == ["numpy"]
    assert choice.absent == {
        "torch-compile": "needs torch, which is not installed",
        "onnxruntime": "needs onnx, which is not installed",
        "openvino": "needs openvino, which is not installed",
    }


def test_an_engine_that_was_not_built_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "service.engine._native")
    choice = choose_engines(("native", "native-avx2", "numpy"), ())
    assert choice.absent == {"native": "was not built", "native-avx2": "was not built"}


def test_an_instruction_set_that_the_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    monkeypatch.setattr(catalog, "_runnable_instruction_sets", lambda: ("avx2", "plain"))
    choice = choose_engines(("native-avx512", "native-avx2", "native"), ())
    assert [kind.name for kind in choice.present] == ["native-avx2", "native"]
    assert choice.absent == {"native-avx512": "needs avx512, which this machine does not run"}


def test_nothing_to_measure_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "openvino")
    with pytest.raises(BenchError) as caught:
        choose_engines((), ("openvino",))
    assert str(caught.value) == "engines: none can run here; openvino needs openvino, which is not installed"


def test_only_what_is_quick_to_load_has_its_loading_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    choice = choose_engines(("native", "numpy"), tuple(catalog.PEERS))
    assert [kind.name for kind in choice.present if kind.loads] == [
        "native", "numpy", "torch", "onnxruntime", "openvino"
    ]  # fmt: skip


def test_engines_of_a_gpu_may_be_named_with_that_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    monkeypatch.setattr(catalog, "_gpu_name", lambda: "a large one")
    choice = choose_engines(("cuda", "native"), ("torch-cuda", "openvino"), "cuda")
    assert [(kind.name, kind.gpu, kind.tolerance) for kind in choice.present] == [
        ("cuda", True, 1e-4),
        ("native", False, 1e-4),
        ("torch-cuda", True, 1e-4),
        ("torch-cuda-tf32", True, 5e-2),
        ("torch-cuda-bf16", True, 5e-2),
        ("openvino", False, 1e-4),
    ]
    with pytest.raises(BenchError, match=r'^engine "cuda": must be one of native, '):
        choose_engines(("cuda",), ())


def test_without_a_gpu_its_engines_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    monkeypatch.setattr(catalog, "_gpu_name", lambda: "")
    choice = choose_engines(("cuda", "numpy"), (), "cuda")
    assert choice.absent == {"cuda": "needs a GPU that torch can use"}
