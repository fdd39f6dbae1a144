"""How versions come into memory: one load for all who ask, one at a time, damaged ones left alone for a while."""

import asyncio
import logging
import time
from contextlib import suppress

from model_store.errors import BundleError, InvalidName, ModelNotFound, StoreUnavailable
from model_store.references import Selector
from service.errors import EngineError, ModelNotServed, ModelUnavailable, NoRoom, RequestError
from service.loading import Key, LoadedModel, Loader, Prepared
from service.logs import log
from service.metrics.models import ModelMetrics
from service.residency import Residency

RETRY_DAMAGED_AFTER_S = 30.0


class Intake:
    """Loads versions in threads and puts them into memory. Used from one event loop."""

    def __init__(self, loader: Loader, residency: Residency, metrics: ModelMetrics, room_wait_s: float) -> None:
        """Nothing under way.

        Args:
            room_wait_s: how long a version that was loaded waits for plans in use to make room.
        """
        self._loader = loader
        self._residency = residency
        self._metrics = metrics
        self._room_wait_s = room_wait_s
        self._loading: dict[Key, asyncio.Task[LoadedModel]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._damaged_until_s: dict[Key, float] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is being loaded."""
        return bool(self._loading)

    def given_up(self, key: Key) -> bool:
        """Whether a version failed so lately that it is not tried again yet."""
        return time.monotonic() < self._damaged_until_s.get(key, 0.0)

    async def load(self, key: Key, replaced: Key | None = None) -> LoadedModel:
        """Load a version, anew where it is in memory.

        Args:
            replaced: a version that leaves memory soon on its account.

        Raises:
            ModelNotServed: the store has none such.
            ModelUnavailable: it has, but the bundle cannot be used, or there is no room for it.
        """
        if key not in self._loading:
            task = asyncio.create_task(self._load(key, replaced))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # who asked may have left
            self._loading[key] = task
        # One load for all who wait; the first of them to go away must not take it from the others.
        return await asyncio.shield(self._loading[key])

    def load_now(self, key: Key) -> None:
        """Load a version before anything is served, evicting nothing.

        Raises:
            StoreError: it cannot be had, or is damaged.
            EngineError: the engine cannot hold it.
            NoRoom: it does not fit beside what is loaded.
        """
        prepared = self._loader.prepare(*key)
        if not self._residency.fits(prepared.plan.resident_bytes):
            raise NoRoom(f"resident_bytes {prepared.plan.resident_bytes}, no room beside the plans that are loaded")
        self._take_in(key, prepared)

    async def stop(self) -> None:
        """End the loading that is under way for nobody."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, RequestError):
                await task

    async def _load(self, key: Key, replaced: Key | None) -> LoadedModel:
        try:
            async with self._one_at_a_time:
                prepared = await asyncio.to_thread(self._loader.prepare, *key)
                await self._make_room(prepared, {key} | ({replaced} if replaced else set()))
                model = self._take_in(key, prepared)
        except (InvalidName, ModelNotFound):
            raise not_served() from None
        except (BundleError, EngineError, StoreUnavailable, NoRoom, MemoryError) as error:
            self._metrics.damaged.inc()
            self._damaged_until_s[key] = time.monotonic() + RETRY_DAMAGED_AFTER_S
            raise unavailable(*key, error) from None
        finally:
            del self._loading[key]
        self._damaged_until_s.pop(key, None)
        return model

    async def _make_room(self, prepared: Prepared, gone: set[Key]) -> None:
        size_bytes = prepared.plan.resident_bytes
        try:
            async with asyncio.timeout(self._room_wait_s):
                while not self._residency.make_room(size_bytes, gone):
                    await self._residency.wait_for_room()
        except TimeoutError:
            raise NoRoom(f"resident_bytes {size_bytes}, no room beside the plans in use") from None

    def _take_in(self, key: Key, prepared: Prepared) -> LoadedModel:
        self._residency.retire(key)  # first, so that its series are gone before their successors come
        model = self._loader.publish(prepared)
        self._residency.put(model)
        return model


def not_served() -> ModelNotServed:
    """The answer to who asks for what the store has not."""
    return ModelNotServed("The store has no such model or version.")


def unavailable(name: str, version: Selector, error: Exception) -> ModelUnavailable:
    """The answer to who asks for what cannot be used; the log says why."""
    log("model not served", {"model": name, "version": version, "reason": str(error)}, logging.ERROR)
    return ModelUnavailable()
