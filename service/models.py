"""The models in memory: the latest version of each at start, any other version when somebody asks for it."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from model_store.bundle import Bundle, decode_bundle
from model_store.errors import BundleError, InvalidName, ModelNotFound, StoreUnavailable
from model_store.names import check_model_name
from model_store.preprocessing import Preprocessing
from model_store.store import Store, StoredBundle
from service.descriptions import describe_model
from service.engine import Plan
from service.errors import EngineError, EngineFailure, InvalidQuery, ModelNotServed, ModelUnavailable
from service.logs import log
from service.metrics import Metrics
from service.schemas import ModelDetails

Compile = Callable[[Bundle], Plan]
_Key = tuple[str, int]

RETRY_DAMAGED_AFTER_S = 30.0

_UNAVAILABLE = "The model cannot be used at the moment."
_UNLOADED = "The model is unloaded."


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A version that is ready to run. The bundle itself is gone: the plan holds the weights its own way."""

    name: str
    version: int
    plan: Plan
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    details: ModelDetails


class Models:
    """Which models are loaded. Used from one event loop; loading runs in threads.

    Of versions that are not the latest at start, `spare_versions` are kept, those used last.
    """

    def __init__(self, store: Store, compile_bundle: Compile, metrics: Metrics, spare_versions: int) -> None:
        self._store = store
        self._compile = compile_bundle
        self._metrics = metrics
        self._spare_versions = spare_versions
        self._latest: dict[str, LoadedModel] = {}
        self._spare: OrderedDict[_Key, LoadedModel] = OrderedDict()
        self._loading: dict[_Key, asyncio.Task[LoadedModel]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._damaged_until_s: dict[_Key, float] = {}
        self._unloaded: set[str] = set()

    def load_latest(self) -> None:
        """Load every model's latest version. A damaged one is logged and left out; the others are served.

        Raises:
            StoreUnavailable: the store cannot be read.
            EngineUnavailable: the device cannot be used.
        """
        for name in self._store.models():
            try:
                self._latest[name] = self._load(name, self._store.latest(name))
            except (BundleError, EngineFailure, ModelNotFound, StoreUnavailable) as error:
                self._metrics.damaged_models.inc()
                log("model not served", {"model": name, "reason": str(error)}, logging.ERROR)

    def all(self) -> list[LoadedModel]:
        """What is loaded, by name and version."""
        return sorted([*self._latest.values(), *self._spare.values()], key=lambda model: (model.name, model.version))

    def names(self) -> list[str]:
        """The models whose latest version is loaded, sorted."""
        return sorted(self._latest)

    async def find(self, name: str, version: int | None) -> LoadedModel:
        """A model's version, by default the latest at start; loaded now where it is not yet.

        Raises:
            InvalidQuery: no name, and more than one model to choose from.
            ModelNotServed: the store has none such.
            ModelUnavailable: it has, but the bundle cannot be used, or the model was unloaded.
        """
        name = name or self._only_name()
        if name in self._unloaded:
            raise ModelUnavailable(_UNLOADED)
        latest = self._latest.get(name)
        if latest is not None and version in (None, latest.version):
            return latest
        try:
            check_model_name(name)
            number = version if version is not None else await asyncio.to_thread(self._store.latest, name)
        except (InvalidName, ModelNotFound):
            raise _not_served() from None
        except StoreUnavailable as error:
            raise _unavailable(name, version, error) from None
        return await self._find_spare((name, number))

    async def load(self, name: str) -> LoadedModel:
        """Read a model's latest version from the store and serve it from now on. What runs, runs on the old one.

        Raises:
            ModelNotServed: the store has none such.
            ModelUnavailable: its bundle cannot be used; what was served before still is.
        """
        try:
            check_model_name(name)
            async with self._one_at_a_time:
                version = await asyncio.to_thread(self._store.latest, name)
                model = await asyncio.to_thread(self._load, name, version)
        except (InvalidName, ModelNotFound):
            raise _not_served() from None
        except (BundleError, EngineError, StoreUnavailable) as error:
            raise _unavailable(name, None, error) from None
        self._forget(name, keep=version)
        self._unloaded.discard(name)
        self._latest[name] = model
        return model

    async def unload(self, name: str) -> None:
        """Serve a model no more, in none of its versions, until it is loaded again. What runs is finished.

        Raises:
            ModelNotServed: the store has none such.
        """
        try:
            check_model_name(name)
            await asyncio.to_thread(self._store.versions, name)
        except (InvalidName, ModelNotFound):
            raise _not_served() from None
        except StoreUnavailable as error:
            raise _unavailable(name, None, error) from None
        self._unloaded.add(name)
        self._forget(name, keep=None)
        log("model unloaded", {"model": name})

    def _forget(self, name: str, keep: int | None) -> None:
        """Drop a model's versions from memory, and from the metrics all but `keep`."""
        versions = {version for held, version in self._spare if held == name}
        if name in self._latest:
            versions.add(self._latest.pop(name).version)
        for version in versions:
            self._spare.pop((name, version), None)
            if version != keep:
                self._metrics.remove_model(name, version)

    def _only_name(self) -> str:
        if len(self._latest) > 1:
            raise InvalidQuery(f"query.model: several models are served, choose one of {', '.join(self.names())}.")
        if not self._latest:
            raise ModelNotServed("No model is served.")
        return next(iter(self._latest))

    async def _find_spare(self, key: _Key) -> LoadedModel:
        if key in self._spare:
            self._spare.move_to_end(key)
            return self._spare[key]
        if time.monotonic() < self._damaged_until_s.get(key, 0.0):
            raise ModelUnavailable(_UNAVAILABLE)
        if key not in self._loading:
            self._loading[key] = asyncio.create_task(self._load_spare(key))
        # One load for all who wait; the first of them to go away must not take it from the others.
        return await asyncio.shield(self._loading[key])

    async def _load_spare(self, key: _Key) -> LoadedModel:
        try:
            async with self._one_at_a_time:
                model = await asyncio.to_thread(self._load, *key)
        except (InvalidName, ModelNotFound):
            raise _not_served() from None
        except (BundleError, EngineError, StoreUnavailable) as error:
            self._damaged_until_s[key] = time.monotonic() + RETRY_DAMAGED_AFTER_S
            raise _unavailable(*key, error) from None
        finally:
            del self._loading[key]
        self._damaged_until_s.pop(key, None)
        if key[0] in self._unloaded:  # while this was loading
            self._metrics.remove_model(*key)
            raise ModelUnavailable(_UNLOADED)
        self._spare[key] = model
        while len(self._spare) > self._spare_versions:
            (name, version), _ = self._spare.popitem(last=False)
            self._metrics.remove_model(name, version)
        return model

    def _load(self, name: str, version: int) -> LoadedModel:
        stored = self._store.read(name, version)
        started_s = time.perf_counter()
        bundle = decode_bundle(stored.data)
        decode_s = time.perf_counter() - started_s
        self._metrics.bundle_decode_seconds.observe(decode_s)
        model = _loaded(stored, bundle, self._compile(bundle), 1000 * decode_s)
        details = model.details
        sizes = {"dense": details.dense_bytes, "bundle": details.bundle_bytes, "resident": details.resident_bytes}
        self._metrics.add_model(name, version, sizes, details.sparsity)
        entry = {"model": name, "version": version, "engine": model.plan.name, "decode_ms": details.decode_ms}
        log("model loaded", entry | {f"{kind}_bytes": size for kind, size in sizes.items()})
        return model


def _loaded(stored: StoredBundle, bundle: Bundle, plan: Plan, decode_ms: float) -> LoadedModel:
    details = describe_model(stored, bundle, plan, round(decode_ms, 3))
    return LoadedModel(stored.name, stored.version, plan, bundle.preprocessing, bundle.class_names, details)


def _not_served() -> ModelNotServed:
    return ModelNotServed("The store has no such model or version.")


def _unavailable(name: str, version: int | None, error: Exception) -> ModelUnavailable:
    log("model not served", {"model": name, "version": version, "reason": str(error)}, logging.ERROR)
    return ModelUnavailable(_UNAVAILABLE)
