import logging

import numpy as np
import pytest

from model_store.bundle import Bundle
from model_store.errors import DigestMismatch
from model_store.store import Store
from service.engine import compile_plan
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import Array
from service.errors import EngineFailure
from service.loading import Loader
from service.metrics import Metrics
from service.metrics.models import PHASES


def test_every_phase_is_timed_and_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "csrve")
    metrics = Metrics()
    prepared = Loader(store, compile_plan, metrics.models).prepare("colour", 1)
    text = metrics.render("")[0].decode()
    (record,) = caplog.records
    entry = record.__dict__["entry"]
    for phase in PHASES:
        assert f'csrve_model_load_duration_seconds_count{{phase="{phase}"}} 1.0' in text
        assert entry[f"{phase}_ms"] >= 0
    assert (record.getMessage(), entry["model"], entry["version"]) == ("model loaded", "colour", 1)
    assert prepared.details.decode_ms == entry["decode_ms"]
    assert prepared.stamp == store.stamp("colour", 1)


def test_a_version_has_no_series_before_it_is_published(store: Store) -> None:
    metrics = Metrics()
    loader = Loader(store, compile_plan, metrics.models)
    prepared = loader.prepare("colour", 1)
    assert b'model="colour"' not in metrics.render("")[0]
    model = loader.publish(prepared)
    assert (model.key, model.plan) == (("colour", 1), prepared.plan)
    assert b'csrve_model_ready{model="colour",version="1"} 1.0' in metrics.render("")[0]


def test_a_plan_that_fails_on_its_first_picture_is_refused(store: Store) -> None:
    class Broken(NumpyPlan):
        def run(self, batch: Array) -> Array:
            raise IndexError("secret")

    class Refusing(NumpyPlan):
        def run(self, batch: Array) -> Array:
            raise EngineFailure("batch: too small")

    with pytest.raises(EngineFailure) as caught:
        Loader(store, Broken, Metrics().models).prepare("colour", 1)
    assert str(caught.value) == "engine numpy: IndexError on its first picture"
    with pytest.raises(EngineFailure) as caught:
        Loader(store, Refusing, Metrics().models).prepare("colour", 1)
    assert str(caught.value) == "batch: too small"


def test_a_plan_is_run_once_before_it_is_used(store: Store) -> None:
    seen: list[tuple[int, ...]] = []

    class Watched(NumpyPlan):
        def __init__(self, bundle: Bundle) -> None:
            super().__init__(bundle)

        def run(self, batch: Array) -> Array:
            seen.append(batch.shape)
            assert not np.any(batch)
            return super().run(batch)

    Loader(store, Watched, Metrics().models).prepare("colour", 1)
    assert seen == [(1, 3, 8, 8)]


def test_damage_is_found_before_anything_is_decoded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Store.read

    def damaged(store: Store, name: str, version: int | None = None) -> object:
        stored = read(store, name, version)
        object.__setattr__(stored, "data", stored.data[:-1] + bytes([stored.data[-1] ^ 1]))
        return stored

    monkeypatch.setattr(Store, "read", damaged)
    metrics = Metrics()
    with pytest.raises(DigestMismatch):
        Loader(store, compile_plan, metrics.models).prepare("colour", 1)
    assert b'csrve_model_load_duration_seconds_count{phase="decode"} 0.0' in metrics.render("")[0]
