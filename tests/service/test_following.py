"""What is served follows the store: new versions, moved aliases, removed models; whatever fails changes nothing."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_store.bundle import encode_bundle
from model_store.graph import Node
from model_store.store import Store
from model_store.tensors import FloatTensor
from service.app import build_app
from service.errors import ModelNotServed
from service.metrics import Metrics
from service.models import Models
from service.settings import Settings
from tests.service.asgi import body_of, parts_of, post
from tests.service.bundles import bundle_of, shared
from tests.service.test_models import Compiler, damage, found, models_of

CLASSES = 10


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def models(store: Store, compiler: Compiler, metrics: Metrics) -> Models:
    models = models_of(store, compiler, metrics)
    models.load_latest()
    return models


def certain_of(index: int) -> bytes:
    """A bundle that sees the same class in every picture."""
    bias = np.zeros(CLASSES, dtype=np.float16)
    bias[index] = 1000
    nodes = [Node("GlobalAveragePool", (0,)), Node("Flatten", (1,)), Node("Gemm", (2,), (0, 1), {}, "head")]
    return encode_bundle(bundle_of(nodes, [shared((CLASSES, 3)), FloatTensor(bias)]))


def reloads(metrics: Metrics) -> dict[str, float]:
    """Reloads by outcome."""
    start = 'csrve_model_reloads_total{outcome="'
    lines = [line for line in metrics.render("")[0].decode().splitlines() if line.startswith(start)]
    pairs = (line.removeprefix(start).split('"} ') for line in lines)
    return {outcome: float(value) for outcome, value in pairs}


def test_a_new_version_is_swapped_in_and_the_old_one_goes(
    models: Models, store: Store, encoded: bytes, metrics: Metrics
) -> None:
    store.publish("colour", encoded)
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 3), ("grey", 1)]
    assert asyncio.run(models.find("colour")).version == 3
    assert reloads(metrics) == {"swapped": 1, "failed": 0, "store_unavailable": 0}
    assert b'model="colour",version="2"' not in metrics.render("")[0]


def test_a_store_that_has_not_changed_changes_nothing(models: Models, compiler: Compiler, metrics: Metrics) -> None:
    asyncio.run(models.refresh())
    assert (compiler.count, sum(reloads(metrics).values())) == (2, 0)


def test_the_old_version_answers_until_the_new_one_is_warm_and_whoever_uses_it_is_done(
    models: Models, store: Store, encoded: bytes, compiler: Compiler, metrics: Metrics
) -> None:
    async def main() -> None:
        compiler.open.clear()
        refreshing = asyncio.create_task(models.refresh())
        while not models._intake.busy:
            await asyncio.sleep(0.001)
        old = await models.find("colour")
        assert old.version == 2
        with models.used(old):
            compiler.open.set()
            await refreshing
            assert (await models.find("colour")).version == 3
            assert b'model="colour",version="2"' in metrics.render("")[0]
        assert b'model="colour",version="2"' not in metrics.render("")[0]

    store.publish("colour", encoded)
    asyncio.run(main())


def test_a_new_version_that_is_damaged_leaves_the_old_one(
    models: Models, store: Store, tmp_path: Path, encoded: bytes, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    store.publish("colour", encoded)
    damage(tmp_path, "colour", 3)
    asyncio.run(models.refresh())
    asyncio.run(models.refresh())
    assert asyncio.run(models.find("colour")).version == 2
    assert reloads(metrics)["failed"] == 1
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (record.getMessage(), record.__dict__["entry"]["version"]) == ("model not served", 3)
    store.publish("colour", encoded)
    asyncio.run(models.refresh())
    assert asyncio.run(models.find("colour")).version == 4


def test_a_removed_version_answers_until_its_successor_is_there(
    models: Models, store: Store, tmp_path: Path, encoded: bytes
) -> None:
    store.publish("colour", encoded)
    damage(tmp_path, "colour", 3)
    store.remove("colour", 2)
    asyncio.run(models.refresh())
    assert asyncio.run(models.find("colour")).version == 2
    store.remove("colour", 3)
    asyncio.run(models.refresh())
    assert asyncio.run(models.find("colour")).version == 1
    assert found(models) == [("colour", 1), ("grey", 1)]


def test_a_removed_model_is_served_no_more(models: Models, store: Store) -> None:
    store.remove("grey", 1)
    asyncio.run(models.refresh())
    assert (found(models), models.names()) == ([("colour", 2)], ["colour"])
    with pytest.raises(ModelNotServed):
        asyncio.run(models.find("grey"))


def test_a_removed_version_that_was_asked_for_by_number_goes(models: Models, store: Store) -> None:
    asyncio.run(models.find("colour", 1))
    store.remove("colour", 1)
    asyncio.run(models.refresh())
    with pytest.raises(ModelNotServed):
        asyncio.run(models.find("colour", 1))


def test_an_alias_that_moves_is_followed_and_one_that_is_removed_is_gone(models: Models, store: Store) -> None:
    store.set_alias("colour", "stable", 1)
    assert asyncio.run(models.find("colour", "stable")).version == 1
    store.set_alias("colour", "stable", 2)
    asyncio.run(models.refresh())
    assert asyncio.run(models.find("colour", "stable")).version == 2
    assert models.aliases_of("colour", 2) == ["latest", "stable"]
    store.remove_alias("colour", "stable")
    asyncio.run(models.refresh())
    with pytest.raises(ModelNotServed):
        asyncio.run(models.find("colour", "stable"))


def test_a_version_that_an_alias_means_stays_when_the_latest_moves_on(
    models: Models, store: Store, encoded: bytes
) -> None:
    store.set_alias("colour", "stable", 2)
    asyncio.run(models.refresh())
    store.publish("colour", encoded)
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 2), ("colour", 3), ("grey", 1)]


def test_a_model_that_nobody_loaded_is_followed_without_loading_it(
    store: Store, compiler: Compiler, metrics: Metrics, encoded: bytes
) -> None:
    models = models_of(store, compiler, metrics)
    models.look()
    store.publish("colour", encoded)
    asyncio.run(models.refresh())
    assert (compiler.count, found(models)) == (0, [])
    assert asyncio.run(models.find("colour")).version == 3


def test_a_version_published_anew_under_its_number_is_loaded_anew(
    models: Models, store: Store, encoded: bytes, metrics: Metrics
) -> None:
    before = asyncio.run(models.find("colour"))
    store.remove("colour", 2)
    store.publish("colour", encoded, 2)
    asyncio.run(models.refresh())
    after = asyncio.run(models.find("colour"))
    assert (after.version, after.plan is before.plan) == (2, False)
    assert reloads(metrics)["swapped"] == 1
    assert b'csrve_model_ready{model="colour",version="2"} 1.0' in metrics.render("")[0]


def test_a_store_that_cannot_be_read_changes_nothing(models: Models, tmp_path: Path, metrics: Metrics) -> None:
    shutil.rmtree(tmp_path / "store")
    asyncio.run(models.refresh())
    assert found(models) == [("colour", 2), ("grey", 1)]
    assert reloads(metrics)["store_unavailable"] == 1


def test_the_store_is_looked_at_every_so_often(settings: Settings, store: Store, tmp_path: Path) -> None:
    async def main() -> None:
        async with app.router.lifespan_context(app):
            store.publish("colour", certain_of(7))
            while (await models.find("colour")).version != 3:
                await asyncio.sleep(0.001)
            assert body_of(await post(app))["label"] == "class 7"

    app = build_app(replace(settings, store=tmp_path / "store", poll_s=0.005))
    models = parts_of(app).models
    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_model_published_a_hundred_times_under_load_fails_no_request_and_gives_no_wrong_answer(
    settings: Settings, tmp_path: Path
) -> None:
    """V10. Version v of `even` sees class v % 10, of `odd` the one after; old versions are removed meanwhile."""

    async def ask(name: str) -> None:
        while not done.is_set():
            sent = await post(app, query=f"model={name}")
            assert sent[0]["status"] == 200, body_of(sent)
            answer = body_of(sent)
            assert (answer["model"], answer["label"]) == (name, f"class {(answer['version'] + shifts[name]) % CLASSES}")
            seen.add((name, answer["version"]))

    async def publish() -> None:
        for version in range(2, 102):
            await asyncio.to_thread(store.publish, "even", bundles[version % CLASSES])
            await asyncio.to_thread(store.remove, "even", version - 1)
            if version % 10 == 0:
                await parts_of(app).models.refresh()
        await parts_of(app).models.refresh()
        done.set()

    async def main() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.gather(publish(), *(ask(name) for name in ("even", "odd") for _ in range(4)))
            assert body_of(await post(app, query="model=even"))["version"] == 101
            assert parts_of(app).queue.depth == 0
        assert len({version for name, version in seen if name == "even"}) > 5

    shifts, seen, done = {"even": 0, "odd": 1}, set[tuple[str, int]](), asyncio.Event()
    bundles = [certain_of(index) for index in range(CLASSES)]
    store = Store.create(tmp_path / "busy")
    store.publish("even", bundles[1])
    store.publish("odd", bundles[2])
    app = build_app(replace(settings, store=tmp_path / "busy", default_model="", poll_s=0.01))
    asyncio.run(asyncio.wait_for(main(), 120))
    resident = {(model.name, model.version) for model in parts_of(app).models.all()}
    assert resident == {("even", 101), ("odd", 1)}
