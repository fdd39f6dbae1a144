from collections.abc import Mapping

import pytest

from model_store.bundle import encode_bundle
from model_store.graph import Node
from model_store.store import StoredBundle
from service.descriptions import describe_model
from service.engine import compile_plan
from tests.service.bundles import bundle_of, residual_bundle
from tests.service.plans import StillPlan


@pytest.mark.parametrize(
    ("recorded", "shown"), [(0.5, 0.5), (1, 1.0), (None, None), ("0.5", None), (True, None), (91.5, None), (-1, None)]
)
def test_an_accuracy_is_shown_where_it_is_one(recorded: object, shown: float | None) -> None:
    bundle = bundle_of([Node("Relu", (0,))], [], provenance={"accuracy": recorded})
    stored = StoredBundle("m", 1, encode_bundle(bundle), "")
    assert describe_model(stored, bundle, compile_plan(bundle), 1.0).accuracy == shown


def test_a_network_without_layers_can_be_described() -> None:
    bundle = bundle_of([Node("Relu", (0,))], [])
    stored = StoredBundle("m", 3, encode_bundle(bundle), "")
    details = describe_model(stored, bundle, compile_plan(bundle), 1.5)
    assert (details.name, details.version, details.decode_ms, details.layers) == ("m", 3, 1.5, [])
    assert (details.resident_bytes, details.sparsity, details.nonzeros) == (0, 0.0, 0)


def test_a_plan_that_measured_its_kernels_has_them_told_by_layer_and_batch_size() -> None:
    class Measured(StillPlan):
        layer_kernels: Mapping[str, Mapping[int, str]] = {"stem": {1: "direct-64", 16: "dense-float32"}}

    bundle = residual_bundle()
    details = describe_model(StoredBundle("m", 1, encode_bundle(bundle), ""), bundle, Measured(), 1.0)
    kernels = {layer.name: layer.kernels for layer in details.layers}
    assert kernels.pop("stem") == {"1": "direct-64", "16": "dense-float32"}
    assert set(map(bool, kernels.values())) == {False}
