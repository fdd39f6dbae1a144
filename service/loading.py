"""From the store to a plan that is ready to run: fetch, verify, decode, build, warm up; each phase timed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from model_store.bundle import Bundle, check_bundle, decode_coded
from model_store.preprocessing import Preprocessing
from model_store.store import Store
from service.descriptions import describe_model
from service.engine import Plan
from service.errors import EngineError, EngineFailure
from service.logs import log
from service.metrics.models import PHASES, ModelMetrics, ModelSeries
from service.schemas import ModelDetails

Compile = Callable[[Bundle], Plan]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A version that is ready to run. The bundle itself is gone: the plan holds the weights its own way.

    Attributes:
        stamp: what the store said of the file when it was read; see `Store.stamp`.
        series: where its figures go.
    """

    name: str
    version: int
    plan: Plan
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    details: ModelDetails
    stamp: str
    series: ModelSeries

    @property
    def key(self) -> Key:
        """Its name and version."""
        return self.name, self.version


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A version that was loaded, before it has any series."""

    plan: Plan
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    details: ModelDetails
    stamp: str


class Loader:
    """Loads versions out of a store, with some threads each. `prepare` may be called in any thread."""

    def __init__(self, store: Store, compile_bundle: Compile, metrics: ModelMetrics, threads: int = 1) -> None:
        self._store = store
        self._compile = compile_bundle
        self._metrics = metrics
        self._threads = threads

    def prepare(self, name: str, version: int) -> Prepared:
        """Load a version and run it once.

        Raises:
            StoreError: it cannot be had, or is damaged.
            EngineError: the engine cannot hold it, or fails on it.
        """
        phases: dict[str, float] = {}
        with _timed(phases, "fetch"):
            stamp = self._store.stamp(name, version)
            stored = self._store.read(name, version)
        with _timed(phases, "verify"):
            coded = check_bundle(stored.data)
        with _timed(phases, "decode"):
            bundle = decode_coded(coded, self._threads)
        with _timed(phases, "build"):
            plan = self._compile(bundle)
        with _timed(phases, "warmup"):
            _warm_up(plan)
        details = describe_model(stored, bundle, plan, round(1000 * phases["decode"], 3))
        self._tell(details, plan, phases)
        return Prepared(plan, bundle.preprocessing, bundle.class_names, details, stamp)

    def publish(self, prepared: Prepared) -> LoadedModel:
        """Give what was loaded its series."""
        details, plan = prepared.details, prepared.plan
        return LoadedModel(
            details.name,
            details.version,
            plan,
            prepared.preprocessing,
            prepared.class_names,
            details,
            prepared.stamp,
            self._metrics.add(details, plan.name),
        )

    def _tell(self, details: ModelDetails, plan: Plan, phases: dict[str, float]) -> None:
        entry: dict[str, object] = {"model": details.name, "version": details.version, "engine": plan.name}
        for phase in PHASES:
            self._metrics.load_seconds.labels(phase).observe(phases[phase])
            entry[f"{phase}_ms"] = round(1000 * phases[phase], 3)
        for kind in ("dense", "bundle", "resident"):
            entry[f"{kind}_bytes"] = getattr(details, f"{kind}_bytes")
        log("model loaded", entry)


@contextmanager
def _timed(phases: dict[str, float], phase: str) -> Iterator[None]:
    started_s = time.perf_counter()
    yield
    phases[phase] = time.perf_counter() - started_s


def _warm_up(plan: Plan) -> None:
    """Run the plan once: the first request finds its code and buffers in place, and a broken plan is found now."""
    try:
        plan.run(np.zeros((1, *plan.input_shape), dtype=np.float32))
    except EngineError:
        raise
    except Exception as error:  # whatever an engine raises
        raise EngineFailure(f"engine {plan.name}: {type(error).__name__} on its first picture") from error
