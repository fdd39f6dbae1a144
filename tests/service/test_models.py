import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from model_store.bundle import Bundle, decode_bundle
from model_store.errors import BundleError, ModelNotFound
from model_store.references import Reference
from model_store.store import Store, StoredBundle
from service.engine import Plan, compile_plan
from service.errors import InvalidQuery, ModelNotServed, ModelUnavailable
from service.intake import RETRY_DAMAGED_AFTER_S, Intake
from service.loading import Compile, Loader
from service.metrics import Metrics
from service.models import LoadedModel, Models
from service.residency import Residency


class Compiler:
    """compile_plan that counts, and waits while it is closed."""

    def __init__(self) -> None:
        self.count = 0
        self.open = threading.Event()
        self.open.set()

    def __call__(self, bundle: Bundle) -> Plan:
        assert self.open.wait(10)
        self.count += 1
        return compile_plan(bundle)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


def models_of(
    store: Store, compiler: Compile, metrics: Metrics, limit_bytes: int = 1 << 30, room_wait_s: float = 0.01
) -> Models:
    def leave(model: LoadedModel) -> None:
        if not residency.holds(model.key):
            metrics.models.remove(model.name, model.version)

    loader = Loader(store, compiler, metrics.models)
    residency = Residency(limit_bytes, on_leaving=leave, on_eviction=metrics.models.evictions.inc)
    return Models(store, Intake(loader, residency, metrics.models, room_wait_s), residency, metrics.models)


@pytest.fixture
def models(store: Store, compiler: Compiler, metrics: Metrics) -> Models:
    models = models_of(store, compiler, metrics)
    models.load_latest()
    return models


def damage(tmp_path: Path, name: str, version: int) -> None:
    path = tmp_path / "store" / name / f"{version}.csrve"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def found(models: Models) -> list[tuple[str, int]]:
    return [(model.name, model.version) for model in models.all()]


def test_the_latest_versions_are_loaded_at_start(models: Models) -> None:
    assert found(models) == [("colour", 2), ("grey", 1)]
    assert models.names() == ["colour", "grey"]
    latest = asyncio.run(models.find("colour", None))
    assert latest is asyncio.run(models.find("colour", 2))
    assert latest.class_names == ("class 0", "class 1", "class 2", "class 3")


def test_another_version_is_loaded_when_asked_for_and_kept(
    models: Models, compiler: Compiler, metrics: Metrics
) -> None:
    async def main() -> None:
        first = await models.find("colour", 1)
        assert first is await models.find("colour", 1)
        assert first.version == 1

    asyncio.run(main())
    assert compiler.count == 3
    assert found(models) == [("colour", 1), ("colour", 2), ("grey", 1)]
    assert b'csrve_model_bytes{kind="dense",model="colour",version="1"}' in metrics.render("")[0]


def test_many_who_ask_at_once_share_one_load(models: Models, compiler: Compiler) -> None:
    async def main() -> None:
        compiler.open.clear()
        tasks = [asyncio.create_task(models.find("colour", 1)) for _ in range(50)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        await asyncio.sleep(0)
        compiler.open.set()
        results = await asyncio.gather(*tasks[1:])
        assert all(model is results[0] for model in results)

    asyncio.run(main())
    assert compiler.count == 3


def resident_bytes(store: Store, name: str, *versions: int) -> int:
    """Of the largest of these versions, after the picture that every plan is tried with."""
    plans = [compile_plan(decode_bundle(store.read(name, version).data)) for version in versions]
    for plan in plans:
        plan.run(np.zeros((1, *plan.input_shape), dtype=np.float32))
    return max(plan.resident_bytes for plan in plans)


def test_those_used_longest_ago_make_room(store: Store, encoded: bytes, compiler: Compiler, metrics: Metrics) -> None:
    async def main() -> None:
        await models.find("colour", 1)
        await models.find("colour", 3)
        assert found(models) == [("colour", 1), ("colour", 3)]
        await models.find("colour", 1)
        await models.find("colour", 2)
        assert found(models) == [("colour", 1), ("colour", 2)]

    store.publish("colour", encoded, 3)
    models = models_of(store, compiler, metrics, 2 * resident_bytes(store, "colour", 1, 2))
    asyncio.run(main())
    text = metrics.render("")[0]
    assert b'model="colour",version="3"' not in text
    assert b"csrve_model_evictions_total 1.0" in text


def test_a_version_in_use_makes_no_room(store: Store, compiler: Compiler, metrics: Metrics) -> None:
    async def main() -> None:
        first = await models.find("colour", 1)
        with models.used(first):
            with pytest.raises(ModelUnavailable):
                await models.find("colour", 2)
            assert found(models) == [("colour", 1)]
        assert await models.find("colour", 1) is first

    models = models_of(store, compiler, metrics, resident_bytes(store, "colour", 1, 2))
    asyncio.run(main())


def test_a_version_waits_for_one_in_use_to_make_room(store: Store, compiler: Compiler, metrics: Metrics) -> None:
    async def main() -> None:
        with models.used(await models.find("colour", 1)):
            waiting = asyncio.create_task(models.find("colour", 2))
            while compiler.count < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            assert not waiting.done()
        assert (await waiting).version == 2
        assert found(models) == [("colour", 2)]

    models = models_of(store, compiler, metrics, resident_bytes(store, "colour", 1, 2), room_wait_s=10)
    asyncio.run(main())


def test_a_model_larger_than_the_memory_is_not_served(store: Store, compiler: Compiler, metrics: Metrics) -> None:
    models = models_of(store, compiler, metrics, 1)
    with pytest.raises(ModelUnavailable):
        asyncio.run(models.find("colour", None))
    models.load_latest()
    assert found(models) == []


def test_twenty_cold_models_at_once_are_each_loaded_once_within_the_limit(
    store: Store, encoded: bytes, compiler: Compiler, metrics: Metrics
) -> None:
    async def use(name: str) -> None:
        model = await models.find(name)
        with models.used(model):
            await asyncio.sleep(0)
            assert model.name == name
            assert sum(each.plan.resident_bytes for each in models.all()) <= limit_bytes

    async def main() -> None:
        await asyncio.gather(*(use(name) for name in names for _ in range(10)))

    names = [f"m{number}" for number in range(20)]
    for name in names:
        store.publish(name, encoded)
    limit_bytes = 3 * resident_bytes(store, "m0", 1)
    models = models_of(store, compiler, metrics, limit_bytes, room_wait_s=10)
    asyncio.run(main())
    assert compiler.count == 20


def test_a_model_published_since_is_found(models: Models, store: Store, encoded: bytes) -> None:
    store.publish("late", encoded, 1)
    assert asyncio.run(models.find("late", None)).version == 1
    assert found(models) == [("colour", 2), ("grey", 1), ("late", 1)]


def test_an_unloaded_model_is_served_no_more_until_it_is_loaded(
    models: Models, store: Store, encoded: bytes, compiler: Compiler
) -> None:
    async def main() -> None:
        old = await models.find("colour")
        await models.find("colour", 1)
        with models.used(old):
            await models.unload("colour")
            assert found(models) == [("grey", 1)]
            for version in (None, 1, 2):
                with pytest.raises(ModelUnavailable) as caught:
                    await models.find("colour", version)
                assert str(caught.value) == "The model is unloaded."
        store.publish("colour", encoded)
        await models.refresh()
        assert found(models) == [("grey", 1)]
        assert (await models.load("colour")).version == 3
        assert (await models.find("colour")).version == 3
        assert (await models.find("colour", 1)).version == 1

    asyncio.run(main())


def test_a_model_that_is_unloaded_while_it_loads_is_not_served(models: Models, compiler: Compiler) -> None:
    async def main() -> None:
        compiler.open.clear()
        finding = asyncio.create_task(models.find("colour", 1))
        while not models._intake.busy:
            await asyncio.sleep(0.001)
        await models.unload("colour")
        compiler.open.set()
        with pytest.raises(ModelUnavailable):
            await finding
        assert found(models) == [("grey", 1)]

    asyncio.run(main())


def test_loading_reads_the_store_anew(models: Models, store: Store, encoded: bytes, compiler: Compiler) -> None:
    before = asyncio.run(models.find("colour"))
    after = asyncio.run(models.load("colour"))
    assert (after.version, after is before, compiler.count) == (2, False, 3)
    store.publish("colour", encoded)
    assert asyncio.run(models.load("colour")).version == 3
    assert asyncio.run(models.find("colour")).version == 3
    assert found(models) == [("colour", 3), ("grey", 1)]


def test_loading_what_is_damaged_leaves_what_is_served(
    models: Models, store: Store, encoded: bytes, tmp_path: Path
) -> None:
    store.publish("colour", encoded)
    damage(tmp_path, "colour", 3)
    with pytest.raises(ModelUnavailable):
        asyncio.run(models.load("colour"))
    assert asyncio.run(models.find("colour")).version == 2


def test_what_the_store_has_not_is_neither_loaded_nor_unloaded(models: Models) -> None:
    for name in ("nothing", "../colour"):
        for call in (models.load, models.unload):
            with pytest.raises(ModelNotServed):
                asyncio.run(call(name))


def test_an_alias_is_found_by_its_name(models: Models, store: Store) -> None:
    store.set_alias("colour", "stable", 1)
    assert asyncio.run(models.find("colour", "stable")).version == 1
    assert models.aliases_of("colour", 1) == ["stable"]
    assert models.aliases_of("colour", 2) == ["latest"]
    with pytest.raises(ModelNotServed):
        asyncio.run(models.find("colour", "other"))


def test_a_latest_version_removed_since_the_last_look_is_not_missed(
    store: Store, compiler: Compiler, metrics: Metrics
) -> None:
    models = models_of(store, compiler, metrics)
    models.look()
    store.remove("colour", 2)
    assert asyncio.run(models.find("colour", None)).version == 1


def test_the_versions_named_are_loaded_at_start_or_nothing_is(
    store: Store, tmp_path: Path, compiler: Compiler, metrics: Metrics
) -> None:
    store.set_alias("colour", "stable", 1)
    models = models_of(store, compiler, metrics)
    models.preload([Reference("colour", "stable"), Reference("grey")])
    assert found(models) == [("colour", 1), ("grey", 1)]
    damage(tmp_path, "colour", 2)
    with pytest.raises(BundleError):
        models.preload([Reference("colour")])
    with pytest.raises(ModelNotFound):
        models.preload([Reference("nothing")])


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("nothing", None),
        ("nothing", 1),
        ("colour", 9),
        ("../colour", None),
        ("colour/../grey", 1),
        ("", 999_999_999),
        ("é", 1),
    ],
)
def test_what_the_store_has_not_is_not_served(models: Models, name: str, version: int | None) -> None:
    with pytest.raises((ModelNotServed, InvalidQuery)) as caught:
        asyncio.run(models.find(name, version))
    assert isinstance(caught.value, ModelNotServed) or not name


def test_no_name_means_the_only_model(tmp_path: Path, encoded: bytes, metrics: Metrics) -> None:
    store = Store.create(tmp_path / "one")
    models = models_of(store, compile_plan, metrics)
    models.load_latest()
    with pytest.raises(ModelNotServed) as nothing:
        asyncio.run(models.find("", None))
    assert str(nothing.value) == "No model is served."
    store.publish("only", encoded)
    models.load_latest()
    assert asyncio.run(models.find("", None)).name == "only"


def test_no_name_among_several_models_is_a_bad_query(models: Models) -> None:
    with pytest.raises(InvalidQuery) as caught:
        asyncio.run(models.find("", None))
    assert str(caught.value) == "query.model: several models are served, choose one of colour, grey."


def test_a_damaged_model_is_left_out_and_the_others_are_served(
    store: Store, tmp_path: Path, metrics: Metrics, compiler: Compiler, caplog: pytest.LogCaptureFixture
) -> None:
    damage(tmp_path, "colour", 2)
    models = models_of(store, compiler, metrics)
    models.load_latest()
    assert found(models) == [("grey", 1)]
    assert b"csrve_model_load_failures_total 1.0" in metrics.render("")[0]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["model not served"]
    with pytest.raises(ModelUnavailable) as caught:
        asyncio.run(models.find("colour", None))
    assert str(caught.value) == "The model cannot be used at the moment."
    assert asyncio.run(models.find("colour", 1)).version == 1


def test_a_damaged_version_is_not_read_again_for_a_while(
    models: Models, store: Store, tmp_path: Path, encoded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(tmp_path, "colour", 1)
    reads: list[str] = []
    original = Store.read

    def read(store: Store, name: str, version: int | None = None) -> StoredBundle:
        reads.append(name)
        return original(store, name, version)

    monkeypatch.setattr(Store, "read", read)
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            asyncio.run(models.find("colour", 1))
    assert len(reads) == 1
    (tmp_path / "store" / "colour" / "1.csrve").write_bytes(encoded)
    later_s = time.monotonic() + RETRY_DAMAGED_AFTER_S
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert asyncio.run(models.find("colour", 1)).version == 1


def test_a_loaded_model_outlives_its_file(models: Models, store: Store) -> None:
    store.remove("colour", 2)
    assert asyncio.run(models.find("colour", None)).version == 2
    assert asyncio.run(models.find("colour", 2)).version == 2


def test_the_details_account_for_every_byte(models: Models, encoded_grey: bytes) -> None:
    details = asyncio.run(models.find("grey", None)).details
    assert details.bundle_bytes == len(encoded_grey) == sum(details.bytes_by_kind.values())
    assert details.compression_ratio == details.dense_bytes / details.bundle_bytes
    assert details.bits_per_weight == 8 * details.bundle_bytes / details.parameters
    assert details.accuracy == 0.9125
    assert details.resident_bytes - details.activation_bytes == sum(layer.resident_bytes for layer in details.layers)
    assert [layer.name for layer in details.layers[:2]] == ["stem", "stem.bn"]
    assert details.layers[0].shape == [6, 1, 3, 3]
    assert all(layer.bundle_bytes == sum(layer.bytes_by_kind.values()) > 0 for layer in details.layers)
    assert details.nonzeros == sum(layer.nonzeros for layer in details.layers)
    assert (details.preprocessing.height, details.preprocessing.width) == (12, 10)


def test_what_was_loading_when_its_model_was_unloaded_is_not_kept(models: Models, compiler: Compiler) -> None:
    async def main() -> None:
        compiler.open.clear()
        loading = asyncio.create_task(models.find("colour", 1))
        await asyncio.sleep(0.01)
        await models.unload("colour")
        compiler.open.set()
        with pytest.raises(ModelUnavailable) as caught:
            await loading
        assert str(caught.value) == "The model is unloaded."
        assert found(models) == [("grey", 1)]
        assert (await models.load("colour")).version == 2
        assert found(models) == [("colour", 2), ("grey", 1)]

    asyncio.run(main())


def test_an_unloaded_model_is_found_by_nobody(models: Models, metrics: Metrics) -> None:
    async def main() -> None:
        held = await models.find("colour", 1)
        await models.unload("colour")
        await models.unload("colour")
        for version in (None, 1, 2):
            with pytest.raises(ModelUnavailable):
                await models.find("colour", version)
        assert 'model="colour"' not in metrics.render("")[0].decode()
        assert held.plan.classes == 4  # who has it, keeps it

    asyncio.run(main())


def test_loading_replaces_the_version_that_was_latest(models: Models, store: Store, encoded: bytes) -> None:
    async def main() -> None:
        await models.find("colour", 1)
        store.publish("colour", encoded, 3)
        assert (await models.load("colour")).version == 3
        assert (await models.find("colour", None)).version == 3
        assert found(models) == [("colour", 1), ("colour", 3), ("grey", 1)]

    asyncio.run(main())


def test_only_what_is_in_the_store_is_loaded_and_unloaded(models: Models, tmp_path: Path) -> None:
    async def main() -> None:
        for name in ("nothing", "../colour"):
            with pytest.raises(ModelNotServed):
                await models.load(name)
            with pytest.raises(ModelNotServed):
                await models.unload(name)
        damage(tmp_path, "colour", 2)
        with pytest.raises(ModelUnavailable):
            await models.load("colour")
        assert (await models.find("colour", None)).version == 2

    asyncio.run(main())
