"""Following the store: what is served changes as the store does, and whatever fails leaves what is served.

`latest` and the aliases are pointers: each means one version, and is moved to another only once that one is loaded and
warm, in one step between two requests. Requests that began on the old version finish on it; then it is unloaded. Where
the new version cannot be loaded the pointer stays, so a bad publish costs nothing but a line in the log and a count.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from model_store.errors import StoreError
from model_store.interface import BundleStore
from service.catalog import Listing, read_catalog
from service.errors import RequestError
from service.intake import Intake
from service.loading import Key
from service.logs import log
from service.metrics.models import ModelMetrics
from service.pointers import Pointers
from service.residency import Residency


class Following:
    """Looks at the store, once or every so often. Used from one event loop."""

    def __init__(
        self, store: BundleStore, intake: Intake, residency: Residency, metrics: ModelMetrics, pointers: Pointers
    ) -> None:
        self._store = store
        self._intake = intake
        self._residency = residency
        self._metrics = metrics
        self._pointers = pointers
        self._watching: asyncio.Task[None] | None = None

    def watch(self, poll_s: float) -> None:
        """Look at the store every so often, until `stop`."""
        self._watching = asyncio.create_task(self._watch(poll_s))

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def refresh(self) -> None:
        """Look at the store once, and follow what has changed."""
        try:
            keys = [model.key for model in self._residency.all()]
            catalog, stamps = await asyncio.to_thread(self._look, keys)
        except StoreError as error:
            self._metrics.reloads.labels("store_unavailable").inc()
            log("store not readable", {"reason": str(error)}, logging.ERROR)
            return
        self._pointers.catalog = catalog
        self._forget_removed()
        for model in self._residency.all():
            if stamps.get(model.key, model.stamp) != model.stamp:
                await self._swapped_in(model.key)
        for name, listing in catalog.items():
            for selector, version in listing.targets().items():
                await self._follow(name, selector, version)

    def point(self, name: str, selector: str, version: int) -> None:
        """Move a pointer. The version that it meant goes, if nothing else means it."""
        abandoned = self._pointers.move(name, selector, version)
        if abandoned is not None:
            self._residency.retire(abandoned)

    async def _watch(self, poll_s: float) -> None:
        while True:
            await asyncio.sleep(poll_s)
            try:
                await self.refresh()
            except Exception as error:  # the next look may do better
                log("crash", {"during": "a look at the store"}, logging.ERROR, error)

    def _look(self, keys: Sequence[Key]) -> tuple[dict[str, Listing], dict[Key, str]]:
        stamps: dict[Key, str] = {}
        for key in keys:
            with suppress(StoreError):  # removed, or unreadable at the moment: nothing to reload
                stamps[key] = self._store.stamp(*key)
        return read_catalog(self._store), stamps

    def _forget_removed(self) -> None:
        """Drop pointers that the store has no more, and versions that are neither in the store nor pointed at."""
        self._pointers.drop_missing()
        for model in self._residency.all():
            if not self._pointers.lists(model.key):
                self._residency.retire(model.key)

    async def _follow(self, name: str, selector: str, version: int) -> None:
        """Move a pointer, once its new version is loaded; at once where the old one is not in memory either."""
        current = self._pointers.key(name, selector)
        if current == (name, version):
            return
        if self._residency.holds(current) and not await self._swapped_in((name, version), current):
            return
        self.point(name, selector, version)

    async def _swapped_in(self, key: Key, replaced: Key | None = None) -> bool:
        """Load a version, anew if need be; False where it cannot be."""
        if replaced is not None and self._residency.holds(key):
            return True
        if self._intake.given_up(key):
            return False
        try:
            await self._intake.load(key, replaced)
        except RequestError:
            self._metrics.reloads.labels("failed").inc()
            return False
        self._metrics.reloads.labels("swapped").inc()
        return True
