"""Canaries answer their share and shadows see theirs; nothing that happens to a copy changes an answer."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from model_store.bundle import encode_bundle
from model_store.preprocessing import Preprocessing
from model_store.store import Store
from service.app import build_app
from service.engine.plan import Array
from service.errors import SettingsError
from service.settings import Settings
from tests.service.asgi import body_of, parts_of, post
from tests.service.bundles import residual_bundle
from tests.service.plans import CPU_RUN, CpuPlan
from tests.service.test_following import CLASSES, certain_of


@pytest.fixture
def comparing(settings: Settings, tmp_path: Path) -> Settings:
    """`small` sees class 1; `large` class 1 in version 1, and class 2 in version 2; `other` takes grey pictures."""
    store = Store.create(tmp_path / "comparing")
    store.publish("small", certain_of(1))
    store.publish("large", certain_of(1))
    store.publish("large", certain_of(2))
    store.publish("other", encode_bundle(residual_bundle(input_shape=(1, 12, 10), classes=CLASSES)))
    return replace(settings, store=tmp_path / "comparing", default_model="small", poll_s=0)


def run(app: FastAPI, main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with app.router.lifespan_context(app):
            await main()

    asyncio.run(asyncio.wait_for(whole(), 60))


async def settled(app: FastAPI) -> None:
    while parts_of(app).comparisons._tasks:
        await asyncio.sleep(0.001)


def value(app: FastAPI, series: str) -> float:
    lines = parts_of(app).metrics.render("")[0].decode().splitlines()
    return next(float(line.split(" ")[-1]) for line in lines if line.startswith(series))


def results(app: FastAPI) -> dict[str, float]:
    start = "csrve_comparisons_total{"
    lines = [line for line in parts_of(app).metrics.render("")[0].decode().splitlines() if line.startswith(start)]
    return {line.split('result="')[1].split('"')[0]: float(line.split(" ")[-1]) for line in lines if line[-3:] != "0.0"}


@pytest.mark.parametrize(("candidate", "result"), [("large:1", "agree"), ("large", "disagree")])
def test_a_shadow_sees_a_copy_and_answers_nobody(comparing: Settings, candidate: str, result: str) -> None:
    async def main() -> None:
        for _ in range(5):
            answer = body_of(await post(app))
            assert (answer["model"], answer["label"]) == ("small", "class 1")
            await settled(app)

    app = build_app(replace(comparing, shadow=f"small={candidate}@1"))
    run(app, main)
    assert results(app) == {result: 5}
    pair = f'candidate="{candidate}",kind="shadow",primary="small"'
    for side in ("primary", "candidate"):
        assert value(app, f'csrve_comparison_picture_seconds_count{{{pair},side="{side}"}}') == 5


def test_a_shadow_that_wants_another_picture_gets_it(comparing: Settings) -> None:
    async def main() -> None:
        await post(app)
        await settled(app)

    app = build_app(replace(comparing, shadow="small=other@1"))
    run(app, main)
    assert sum(results(app).values()) == 1
    assert set(results(app)) <= {"agree", "disagree"}


def test_a_canary_answers_its_share_and_the_primary_is_asked_too(comparing: Settings) -> None:
    async def main() -> None:
        for number in range(60):
            answer = body_of(await post(app, request_id=f"id{number}"))
            by[answer["model"]].add(f"id{number}")
            assert answer["label"] == {"small": "class 1", "large": "class 2"}[answer["model"]]
            await settled(app)

    by: dict[str, set[str]] = {"small": set(), "large": set()}
    settings = replace(comparing, canary="small=large@0.3")
    app = build_app(settings)
    run(app, main)
    (split,) = settings.splits()
    assert by["large"] == {f"id{number}" for number in range(60) if split.takes(f"id{number}")} != set()
    assert results(app) == {"disagree": len(by["large"])}


def test_who_asks_for_a_version_gets_it(comparing: Settings) -> None:
    async def main() -> None:
        assert body_of(await post(app, query="version=1"))["model"] == "small"
        assert body_of(await post(app, query="model=large"))["version"] == 2
        assert body_of(await post(app))["model"] == "large"

    app = build_app(replace(comparing, canary="small=large@1"))
    run(app, main)


def test_where_the_candidate_cannot_answer_the_primary_does(
    comparing: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        parts = parts_of(app)
        large = await parts.models.find("large")
        original = getattr(CpuPlan, CPU_RUN)

        def run(plan: CpuPlan, batch: Array) -> Array:
            if plan is large.plan:
                raise ValueError("secret")
            return original(plan, batch)

        monkeypatch.setattr(CpuPlan, CPU_RUN, run)
        sent = await post(app)
        assert (sent[0]["status"], body_of(sent)["model"]) == (200, "small")
        assert value(app, "csrve_canary_fallbacks_total{") == 1
        Store(comparing.store).remove("large", 2)
        Store(comparing.store).remove("large", 1)
        await parts.models.refresh()
        assert body_of(await post(app))["model"] == "small"
        assert value(app, "csrve_canary_fallbacks_total{") == 2

    app = build_app(replace(comparing, canary="small=large@1"))
    run(app, main)
    assert results(app) == {}


def test_a_bad_picture_is_the_clients_fault_and_no_canarys(comparing: Settings) -> None:
    async def main() -> None:
        assert (await post(app, content=b"<html>"))[0]["status"] == 415

    app = build_app(replace(comparing, canary="small=large@1"))
    run(app, main)
    assert value(app, "csrve_canary_fallbacks_total{") == 0


def _failing(kind: str, monkeypatch: pytest.MonkeyPatch, app: FastAPI) -> Callable[[], Awaitable[None]]:
    """Something that goes wrong with the shadow only."""

    async def engine() -> None:
        large = await parts_of(app).models.find("large")
        original = getattr(CpuPlan, CPU_RUN)

        def run(plan: CpuPlan, batch: Array) -> Array:
            if plan is large.plan:
                raise ValueError("secret")
            return original(plan, batch)

        monkeypatch.setattr(CpuPlan, CPU_RUN, run)

    async def model() -> None:
        Store(parts_of(app).settings.store).remove("large", 2)
        Store(parts_of(app).settings.store).remove("large", 1)
        await parts_of(app).models.refresh()

    async def bug() -> None:
        async def copy(*arguments: Any) -> None:
            raise RuntimeError("secret")

        monkeypatch.setattr(parts_of(app).comparisons.__class__, "_copy", copy)

    return {"engine": engine, "model": model, "bug": bug}[kind]


@pytest.mark.parametrize("kind", ["engine", "model", "bug"])
def test_a_shadow_that_fails_changes_no_answer(comparing: Settings, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async def main() -> None:
        await _failing(kind, monkeypatch, app)()
        sent = await post(app)
        assert (sent[0]["status"], body_of(sent)["model"]) == (200, "small")
        await settled(app)

    app = build_app(replace(comparing, shadow="small=large@1"))
    run(app, main)
    assert results(app) == {"failed": 1}


def test_a_shadow_that_hangs_holds_nobody_up_and_what_is_too_much_is_dropped(
    comparing: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        large = await parts_of(app).models.find("large")
        original = getattr(CpuPlan, CPU_RUN)

        def run(plan: CpuPlan, batch: Array) -> Array:
            if plan is large.plan:
                assert open_.wait(20)
            return original(plan, batch)

        monkeypatch.setattr(CpuPlan, CPU_RUN, run)
        for _ in range(10):
            assert body_of(await post(app))["model"] == "small"
        assert len(parts_of(app).comparisons._tasks) == 2
        assert results(app) == {"dropped": 8}
        open_.set()
        await settled(app)

    open_ = threading.Event()
    app = build_app(replace(comparing, shadow="small=large@1", max_batch=2))
    run(app, main)
    assert results(app) == {"dropped": 8, "disagree": 2}


def test_a_shadow_is_dropped_while_others_wait(comparing: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(type(parts_of(app).queue), "depth", property(lambda queue: 16))
        assert body_of(await post(app))["model"] == "small"

    app = build_app(replace(comparing, shadow="small=large@1", max_batch=16))
    run(app, main)
    assert results(app) == {"dropped": 1}


def test_a_copy_that_takes_too_long_is_dropped(comparing: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def copy(*arguments: Any) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(parts_of(app).comparisons.__class__, "_copy", copy)
        monkeypatch.setattr(parts_of(app).comparisons, "_deadline_s", 0.01)
        await post(app)
        await settled(app)

    app = build_app(replace(comparing, shadow="small=large@1"))
    run(app, main)
    assert results(app) == {"dropped": 1}


def test_what_is_not_compared_yet_is_dropped_at_the_end(comparing: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def copy(*arguments: Any) -> None:
            started.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(parts_of(app).comparisons.__class__, "_copy", copy)
        await post(app)
        await started.wait()

    app = build_app(replace(comparing, shadow="small=large@1"))
    run(app, main)
    assert not parts_of(app).comparisons._tasks


def test_a_split_that_names_no_model_is_refused_at_start(comparing: Settings) -> None:
    for options in ({"canary": "small=nothing@1"}, {"shadow": "nothing=small@1"}):
        with pytest.raises(SettingsError) as caught:
            build_app(replace(comparing, **options))  # type: ignore[arg-type]
        assert 'model "nothing", must be one of large, other, small' in str(caught.value)


def test_preprocessing_is_compared_by_value() -> None:
    assert Preprocessing(1, 1, (0.0,), (1.0,)) == Preprocessing(1, 1, (0.0,), (1.0,))
