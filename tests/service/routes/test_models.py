from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from model_store.store import Store
from service.app import build_app
from service.settings import Settings
from tests.service.drawings import png

SUMMARY = [
    "name",
    "version",
    "aliases",
    "architecture",
    "parameters",
    "nonzeros",
    "sparsity",
    "dense_bytes",
    "bundle_bytes",
    "compression_ratio",
    "bits_per_weight",
    "accuracy",
    "decode_ms",
    "resident_bytes",
    "activation_bytes",
]


def test_models_are_listed_with_their_figures(client: TestClient) -> None:
    models = client.get("/models").json()["models"]
    assert [(model["name"], model["version"]) for model in models] == [("colour", 2), ("grey", 1)]
    assert all(list(model) == SUMMARY for model in models)
    assert models[0]["accuracy"] == 0.9125


def test_a_model_is_described_layer_by_layer_and_byte_by_byte(client: TestClient) -> None:
    model = client.get("/models/colour").json()
    more = ["bytes_by_kind", "layers", "class_names", "preprocessing", "provenance"]
    assert list(model) == SUMMARY + more
    assert sum(model["bytes_by_kind"].values()) == model["bundle_bytes"]
    assert list(model["layers"][0]) == [
        "name",
        "shape",
        "elements",
        "nonzeros",
        "sparsity",
        "bytes_by_kind",
        "bundle_bytes",
        "resident_bytes",
        "kernels",
    ]
    assert model["layers"][0]["kernels"] == {}
    assert model["preprocessing"] == {"channels": 3, "height": 8, "width": 8, "mean": [0.5] * 3, "std": [0.25] * 3}
    assert model["provenance"] == {"accuracy": 0.9125}


def test_a_version_can_be_chosen(client: TestClient) -> None:
    assert client.get("/models/colour?version=1").json()["version"] == 1
    assert [model["version"] for model in client.get("/models").json()["models"]] == [1, 2, 1]


def test_an_alias_is_as_good_as_a_version(settings: Settings, store: Store, tmp_path: Path) -> None:
    store.set_alias("colour", "stable", 1)
    with TestClient(build_app(replace(settings, store=tmp_path / "store"))) as client:
        assert client.get("/models/colour?version=stable").json()["version"] == 1
        answer = client.post("/predict?version=stable", content=png(), headers={"Content-Type": "image/png"})
        assert answer.json()["version"] == 1
        models = client.get("/models").json()["models"]
        assert [(model["name"], model["version"], model["aliases"]) for model in models] == [
            ("colour", 1, ["stable"]),
            ("colour", 2, ["latest"]),
            ("grey", 1, ["latest"]),
        ]
        assert client.get("/models/colour").json()["aliases"] == ["latest"]


def test_what_is_not_there_is_a_problem(client: TestClient) -> None:
    for path in ("/models/nothing", "/models/colour?version=9", "/models/..%2Fcolour", "/models/a%00b"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/models/colour?version=X").status_code == 422
