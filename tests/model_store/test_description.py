"""A bundle's figures, whatever its maker wrote into the provenance."""

from dataclasses import replace

import pytest

from model_store.bundle import encode_bundle
from model_store.description import describe, render_description
from tests.model_store.examples import residual_bundle
from tests.model_store.sample_bundles import tiny_bundle


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [(0.5, 0.5), (1, 1.0), (0, 0.0), (True, None), ("0.5", None), (50.0, None), (-0.1, None), ({}, None), (None, None)],
)
def test_only_a_share_is_an_accuracy(recorded: object, shown: float | None) -> None:
    description = describe(encode_bundle(replace(tiny_bundle(), provenance={"accuracy": recorded})))
    assert description.summary["accuracy"] == shown
    last = render_description(description).splitlines()[8]
    assert last.endswith("not recorded" if shown is None else f"{100 * shown:.2f} %")


@pytest.mark.parametrize("density", [0.01, 0.05, 0.5])
def test_every_byte_is_counted_once_by_layer_and_once_by_kind(density: float) -> None:
    data = encode_bundle(residual_bundle(density=density))
    description = describe(data)
    by_kind = dict.fromkeys(description.by_kind, 0)
    for sizes in description.by_layer.values():
        for kind, size in sizes.items():
            by_kind[kind] += size
    assert by_kind == dict(description.by_kind)
    assert sum(by_kind.values()) == len(data) == description.summary["bundle_bytes"]
