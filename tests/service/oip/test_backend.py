import asyncio
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_store.preprocessing import Preprocessing
from model_store.store import Store
from service.app import build_app
from service.correlation import RequestRecord
from service.errors import DeadlinePassed, ModelNotServed, ModelUnavailable, Overloaded
from service.oip.backend import Backend, runs_of
from service.oip.metadata import IndexEntry
from service.settings import Settings
from service.state import Application


@pytest.fixture
def parts(settings: Settings, store: Store, tmp_path: Path) -> Iterator[Application]:
    changed = replace(settings, store=tmp_path / "store", request_limit=2, deadline_s=0.05)
    application: Application = build_app(changed).state.application
    application.queue.start()
    yield application
    application.queue.stop()
    application.protocol.backend.stop()


@pytest.fixture
def backend(parts: Application) -> Backend:
    return parts.protocol.backend


def test_the_index_says_which_versions_are_in_memory(backend: Backend, store: Store) -> None:
    assert asyncio.run(backend.index()) == [
        IndexEntry("colour", 1, "not in memory"),
        IndexEntry("colour", 2),
        IndexEntry("grey", 1),
    ]
    store.remove("colour", 2)  # what is in memory stays there, but the store has it no more
    assert asyncio.run(backend.versions("colour")) == [1]
    assert [entry.version for entry in asyncio.run(backend.index()) if entry.name == "colour"] == [1]


def test_a_store_that_is_gone_is_told_without_its_place(backend: Backend, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "store")
    for call in (backend.index(), backend.versions("colour")):
        with pytest.raises((ModelUnavailable, ModelNotServed)) as caught:
            asyncio.run(call)  # type: ignore[arg-type]
        assert str(tmp_path) not in str(caught.value)


def test_no_more_than_the_limit_are_admitted(backend: Backend) -> None:
    with backend.admitted(), backend.admitted(), pytest.raises(Overloaded), backend.admitted():
        pass
    with backend.admitted():
        pass


def test_pictures_get_their_own_logits_in_their_order(backend: Backend) -> None:
    async def main() -> None:
        model = await backend.find("grey", None)
        pictures = np.random.default_rng(0).normal(size=(5, 1, 12, 10)).astype(np.float32)

        async def read(preprocessing: Preprocessing) -> list[np.ndarray]:
            assert preprocessing == model.preprocessing
            return list(pictures)

        answer = await backend.answer(model, None, RequestRecord("id", "POST", "/"), read)
        logits, runs = np.stack([outcome.logits for outcome in answer.outcomes]), runs_of(answer)
        np.testing.assert_allclose(logits, model.plan.run(pictures), rtol=1e-4, atol=1e-5)
        assert len(runs) == 5
        assert sum(run.pictures for run in {run.started_s: run for run in runs}.values()) == 5

    asyncio.run(main())


def test_the_deadline_cuts_and_is_only_made_shorter(backend: Backend) -> None:
    async def wait(shorter_s: float) -> None:
        async with backend.deadline() as shorten:
            shorten(shorter_s)
            await asyncio.sleep(10)

    for shorter_s, kept in ((0.02, "0.02"), (5, "0.05")):
        with pytest.raises(DeadlinePassed) as caught:
            asyncio.run(wait(shorter_s))
        assert str(caught.value) == f"The answer was not ready within {kept} s."


def test_computing_leaves_the_loop_free(backend: Backend) -> None:
    async def main() -> None:
        release = threading.Event()
        working = asyncio.ensure_future(backend.in_thread(release.wait, 10))
        await asyncio.sleep(0.01)
        assert not working.done()
        release.set()
        assert await working

    asyncio.run(main())
