"""Exports open in other people's programs, and compute there what the bundle computes here."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load

from model_store import export_onnx as export_onnx_module
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.errors import BundleTooLarge
from model_store.export_onnx import export_onnx
from model_store.export_safetensors import export_safetensors
from model_store.operators import OPERATORS
from service.engine import compile_plan
from tests.model_store.examples import residual_bundle, with_8_bit_vectors
from tests.model_store.sample_bundles import every_operator_bundle, tiny_bundle

BUNDLES = [tiny_bundle(), every_operator_bundle(), residual_bundle(), with_8_bit_vectors(residual_bundle())]
NAMES = ["tiny", "every operator", "residual", "residual in 8 bits"]


def run_onnx(exported: bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images})
    return np.asarray(logits)


def images_for(bundle: Bundle, count: int) -> np.ndarray:
    generator = np.random.default_rng(5)
    return generator.normal(size=(count, *bundle.preprocessing.input_shape)).astype(np.float32)


@pytest.mark.parametrize("bundle", BUNDLES, ids=NAMES)
@pytest.mark.parametrize("count", [1, 3])
def test_onnxruntime_agrees_with_the_engine(bundle: Bundle, count: int) -> None:
    bundle = decode_bundle(encode_bundle(bundle, "smallest"))
    images = images_for(bundle, count)
    logits = run_onnx(export_onnx(bundle), images)
    assert logits.shape == (count, len(bundle.class_names))
    np.testing.assert_allclose(logits, compile_plan(bundle).run(images), rtol=1e-4, atol=1e-4)


def test_the_sample_of_every_operator_has_every_operator() -> None:
    assert {node.operator for node in every_operator_bundle().graph.nodes} == set(OPERATORS)


def test_an_onnx_file_names_its_opset_its_input_and_what_it_expects() -> None:
    model = onnx.load_from_string(export_onnx(tiny_bundle()))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert (model.ir_version, model.producer_name, model.graph.name) == (8, "csrve", "tiny")
    (images,) = model.graph.input
    (logits,) = model.graph.output
    sides = [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim]
    assert (images.name, sides) == ("images", ["batch", 1, 4, 4])
    assert [side.dim_param or side.dim_value for side in logits.type.tensor_type.shape.dim] == ["batch", 3]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["class_names"]) == ["a", "b", "c"]
    assert (metadata["height"], metadata["width"], metadata["mean"], metadata["std"]) == ("4", "4", "[0.5]", "[0.25]")
    assert json.loads(metadata["provenance"]) == {"accuracy": 0.875, "seed": 0}


@pytest.mark.parametrize("export", [export_onnx, export_safetensors])
def test_an_export_has_the_same_bytes_every_time(export: object) -> None:
    assert export(residual_bundle()) == export(residual_bundle())  # type: ignore[operator]


def test_a_network_that_passes_what_onnx_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle()
    dense_bytes = 4 * (6 * 9 + 6 + 18 + 3)
    monkeypatch.setattr(export_onnx_module, "MAX_PROTOBUF_BYTES", dense_bytes)
    export_onnx(bundle)
    monkeypatch.setattr(export_onnx_module, "MAX_PROTOBUF_BYTES", dense_bytes - 1)
    with pytest.raises(BundleTooLarge, match="^onnx: 324 bytes of dense tensors, must be <= 323$"):
        export_onnx(bundle)


@pytest.mark.parametrize("bundle", BUNDLES, ids=NAMES)
def test_safetensors_hold_every_tensor_dense_under_its_layers_name(bundle: Bundle) -> None:
    tensors = load(export_safetensors(bundle))
    names = bundle.graph.tensor_names()
    assert set(tensors) == set(names.values())
    for index, name in names.items():
        assert tensors[name].dtype == np.float32
        np.testing.assert_array_equal(tensors[name], bundle.tensors[index].to_dense())


def test_safetensors_say_what_the_tensors_belong_to() -> None:
    exported = export_safetensors(tiny_bundle())
    header = json.loads(exported[8 : 8 + int.from_bytes(exported[:8], "little")])
    assert list(header["__metadata__"]) == ["csrve"]
    assert json.loads(header["__metadata__"]["csrve"]) == {
        "architecture": "tiny",
        "class_names": ["a", "b", "c"],
        "parameters": 81,
        "preprocessing": {"height": 4, "width": 4, "mean": [0.5], "std": [0.25]},
        "provenance": {"accuracy": 0.875, "seed": 0},
    }
