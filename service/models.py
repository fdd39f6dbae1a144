"""The models that are served: loaded when they are asked for or at start, followed as the store changes."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from model_store.errors import BundleError, InvalidName, ModelNotFound, StoreUnavailable
from model_store.interface import BundleStore
from model_store.names import LATEST
from model_store.references import Reference, Selector
from service.catalog import Listing, read_catalog
from service.errors import (
    EngineFailure,
    InvalidQuery,
    ModelNotServed,
    ModelUnavailable,
    NoRoom,
)
from service.following import Following
from service.intake import Intake, not_served, unavailable
from service.loading import Key, LoadedModel
from service.logs import log
from service.metrics.models import ModelMetrics
from service.pointers import Pointers
from service.residency import Residency

__all__ = ["LoadedModel", "Models"]


class Models:
    """Which models are served. Used from one event loop; loading runs in threads, one version at a time."""

    def __init__(
        self,
        store: BundleStore,
        intake: Intake,
        residency: Residency,
        metrics: ModelMetrics,
        default_model: str = "",
    ) -> None:
        """Nothing loaded yet.

        Args:
            intake: loads out of the store, into the residency.
            default_model: what no name means; "" where that is an error, unless there is one model only.
        """
        self._store = store
        self._intake = intake
        self._residency = residency
        self._metrics = metrics
        self._default_model = default_model
        self._pointers = Pointers()
        self._following = Following(store, intake, residency, metrics, self._pointers)
        self._unloaded: set[str] = set()

    def look(self) -> None:
        """See what the store has, before anything is served.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        self._pointers.take(read_catalog(self._store))

    def load_latest(self) -> None:
        """Load every model's latest version before anything is served, as long as there is room for it.

        A damaged one is logged and left out.

        Raises:
            StoreUnavailable: the store cannot be read.
            EngineUnavailable: the device cannot be used.
        """
        self.look()
        for name in self.names():
            try:
                self._intake.load_now(self._pointers.key(name, LATEST))
            except NoRoom:
                log("model not preloaded", {"model": name, "reason": "no room"}, logging.WARNING)
            except (BundleError, EngineFailure, ModelNotFound, StoreUnavailable) as error:
                self._metrics.damaged.inc()
                log("model not served", {"model": name, "reason": str(error)}, logging.ERROR)

    def preload(self, references: Iterable[Reference]) -> None:
        """Load these versions, all of them, before anything is served.

        Raises:
            StoreError: one cannot be had, or is damaged.
            EngineError: the engine cannot hold one, or the device cannot be used.
            NoRoom: they do not fit in memory together.
        """
        self.look()
        for reference in references:
            self._intake.load_now((reference.name, self._store.resolve(reference.name, reference.selector)))

    def all(self) -> list[LoadedModel]:
        """What is loaded, by name and version."""
        return self._residency.all()

    def names(self) -> list[str]:
        """The models that the store had when it was last looked at, sorted."""
        return self._pointers.names()

    @property
    def catalog(self) -> Mapping[str, Listing]:
        """What the store had when it was last looked at."""
        return self._pointers.catalog

    def aliases_of(self, name: str, version: int) -> list[str]:
        """What else a version is called at the moment, "latest" included, sorted."""
        return self._pointers.aliases_of((name, version))

    async def find(self, name: str, selector: Selector = None) -> LoadedModel:
        """A model's version, loaded now where it is not yet.

        Args:
            name: "" for the default.
            selector: a version, an alias, or None for the latest.

        Raises:
            InvalidQuery: no name, and more than one model to choose from.
            ModelNotServed: the store has none such.
            ModelUnavailable: it has, but the bundle cannot be used, there is no room for it, or it was unloaded.
        """
        name = name or self._only_name()
        self._check_unloaded(name)
        model = self._in_memory(name, selector)
        if model is not None:
            return model
        try:
            return await self._loaded((name, await self._resolve(name, selector)))
        except ModelNotServed:
            if not self._pointers.drop(name, selector):
                raise
        # What it meant was removed since the store was last looked at.
        return await self._loaded((name, await self._resolve(name, selector)))

    def held(self, name: str, selector: Selector = None) -> LoadedModel | None:
        """A version that is in memory, kept there until it is released; None where `find` has something to do or say.

        Args as those of `find`.
        """
        name = name or self._default_model or (next(iter(self.catalog)) if len(self.catalog) == 1 else "")
        model = self._in_memory(name, selector) if name not in self._unloaded else None
        if model is not None:
            self._residency.hold(model)
        return model

    def release(self, model: LoadedModel) -> None:
        """Keep what was held no more."""
        self._residency.release(model)

    def used(self, model: LoadedModel) -> AbstractContextManager[None]:
        """Keep what was found in memory. Enter this before anything else is awaited."""
        return self._residency.used(model)

    async def load(self, name: str) -> LoadedModel:
        """Read a model's latest version from the store, anew if need be, and serve it from now on.

        Raises:
            ModelNotServed: the store has none such.
            ModelUnavailable: its bundle cannot be used; what was served before still is.
        """
        number = await self._look_up(name, None)
        model = await self._intake.load((name, number), self._pointers.key(name, LATEST))
        self._unloaded.discard(name)
        self._following.point(name, LATEST, number)
        return model

    async def unload(self, name: str) -> None:
        """Serve a model no more, in none of its versions, until it is loaded again. What is under way is finished.

        Raises:
            ModelNotServed: the store has none such.
            ModelUnavailable: the store cannot be read.
        """
        await self._look_up(name, None)
        self._unloaded.add(name)
        self._retire_all(name)
        log("model unloaded", {"model": name})

    def watch(self, poll_s: float) -> None:
        """Look at the store every so often, until `stop`."""
        self._following.watch(poll_s)

    async def stop(self) -> None:
        """Look no more, and end the loading that is under way for nobody."""
        await self._following.stop()
        await self._intake.stop()

    async def refresh(self) -> None:
        """Look at the store once, and follow what has changed. Whatever fails leaves what is served."""
        await self._following.refresh()

    def _only_name(self) -> str:
        if self._default_model:
            return self._default_model
        if len(self.catalog) > 1:
            raise InvalidQuery(f"query.model: several models are served, choose one of {', '.join(self.names())}.")
        if not self.catalog:
            raise ModelNotServed("No model is served.")
        return next(iter(self.catalog))

    def _in_memory(self, name: str, selector: Selector) -> LoadedModel | None:
        number = self._pointers.version(name, selector)
        return self._residency.get((name, number)) if number is not None else None

    async def _resolve(self, name: str, selector: Selector) -> int:
        known = self._pointers.version(name, selector)
        if known is not None:
            return known
        number = await self._look_up(name, selector)
        return self._pointers.add(name, selector, number)

    async def _look_up(self, name: str, selector: Selector) -> int:
        """What the store says that a selector means."""
        try:
            return await asyncio.to_thread(self._store.resolve, name, selector)
        except (InvalidName, ModelNotFound):
            raise not_served() from None
        except StoreUnavailable as error:
            raise unavailable(name, selector, error) from None

    async def _loaded(self, key: Key) -> LoadedModel:
        model = self._residency.get(key)
        if model is not None:
            return model
        if self._intake.given_up(key):
            raise ModelUnavailable
        model = await self._intake.load(key)
        self._check_unloaded(key[0])  # while this was loading
        return model

    def _check_unloaded(self, name: str) -> None:
        if name not in self._unloaded:
            return
        self._retire_all(name)
        raise ModelUnavailable("The model is unloaded.")

    def _retire_all(self, name: str) -> None:
        for model in self.all():
            if model.name == name:
                self._residency.retire(model.key)
