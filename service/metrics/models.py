"""What is loaded, what loading took, and where the time of each version's predictions goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.metrics.buckets import BATCH_SIZE, LATENCY_S
from service.schemas import ModelDetails, Timing

PHASES = ("fetch", "verify", "decode", "build", "warmup")
KINDS = ("dense", "bundle", "resident")
RELOADS = ("swapped", "failed", "store_unavailable")
_VERSION = ("model", "version")
_STAGES = {
    "read": ("csrve_read_duration_seconds", "Time from the request's head to the last byte of its body"),
    "decode": ("csrve_preprocess_duration_seconds", "Time to decode the picture, waiting for a thread included"),
    "queue": ("csrve_queue_duration_seconds", "Time that the picture waited for the engine"),
    "inference": ("csrve_inference_duration_seconds", "Time of the engine's run of the batch the picture was in"),
    "total": ("csrve_request_duration_seconds", "Time from the request's head to its answer"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ModelSeries:
    """The series of one version that is loaded. Once it is unloaded they may still be fed, but are shown no more.

    Attributes:
        stages: by the names that `Timing` has; fed by predictions answered with 200 only.
        batch_size: pictures in one run.
    """

    stages: Mapping[str, Histogram]
    batch_size: Histogram

    def observe(self, timing: Timing, trace_id: str = "") -> None:
        """Count where the time of a prediction went; who reads OpenMetrics is told its trace, if it has one."""
        exemplar = {"trace_id": trace_id} if trace_id else None
        for stage, histogram in self.stages.items():
            histogram.observe(getattr(timing, stage) / 1000, exemplar)


class ModelMetrics:
    """Declares the metrics that have a model's name and version, and those of loading."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stages = {
            stage: Histogram(
                name, f"{text}, of the predictions answered with 200", _VERSION, registry=registry, buckets=LATENCY_S
            )
            for stage, (name, text) in _STAGES.items()
        }
        self._batch_size = Histogram(
            "csrve_batch_size", "Pictures in one run of the engine", _VERSION, registry=registry, buckets=BATCH_SIZE
        )
        self._bytes = Gauge(
            "csrve_model_bytes",
            "Bytes of a loaded model: the dense network it came from, its bundle, what its engine holds",
            [*_VERSION, "kind"],
            registry=registry,
        )
        self._sparsity = Gauge(
            "csrve_model_sparsity_ratio", "Share of a loaded model's weights that is zero", _VERSION, registry=registry
        )
        self._ready = Gauge("csrve_model_ready", "1 for a version that is loaded and warm", _VERSION, registry=registry)
        self._info = Gauge(
            "csrve_model_info",
            "1; what a loaded model is, and bits of its file for each parameter of the dense network",
            [*_VERSION, "architecture", "engine", "bits"],
            registry=registry,
        )
        self._labels: dict[tuple[str, str], tuple[str, ...]] = {}
        self._declare_loading(registry)

    def _declare_loading(self, registry: CollectorRegistry) -> None:
        self.load_seconds = Histogram(
            "csrve_model_load_duration_seconds",
            "Time to load a version: read its file, check it, decode its weights, build the plan, run it once",
            ["phase"],
            registry=registry,
            buckets=LATENCY_S,
        )
        self.damaged = Counter("csrve_model_load_failures", "Versions that could not be loaded", registry=registry)
        self.reloads = Counter(
            "csrve_model_reloads",
            "Looks at the store: a version swapped in, one that failed so that the old one stays, no store to see",
            ["outcome"],
            registry=registry,
        )
        self.evictions = Counter(
            "csrve_model_evictions", "Versions unloaded to make room for others", registry=registry
        )
        self._resident = Gauge("csrve_resident_bytes", "Bytes that all engines hold", registry=registry)
        self._resident_limit = Gauge("csrve_resident_limit_bytes", "--max-resident-bytes", registry=registry)
        for phase in PHASES:
            self.load_seconds.labels(phase)
        for outcome in RELOADS:
            self.reloads.labels(outcome)

    def watch(self, resident_bytes: Callable[[], float], limit_bytes: int) -> None:
        """Read the bytes held when somebody asks, not before."""
        self._resident.set_function(resident_bytes)
        self._resident_limit.set(limit_bytes)

    def add(self, details: ModelDetails, engine: str) -> ModelSeries:
        """The series of a version that was loaded."""
        key = (details.name, str(details.version))
        self.remove(details.name, details.version)
        self._labels[key] = (*key, details.architecture, engine, f"{details.bits_per_weight:.2f}")
        self._info.labels(*self._labels[key]).set(1)
        for kind in KINDS:
            self._bytes.labels(*key, kind).set(getattr(details, f"{kind}_bytes"))
        self._sparsity.labels(*key).set(details.sparsity)
        self._ready.labels(*key).set(1)
        stages = {stage: histogram.labels(*key) for stage, histogram in self._stages.items()}
        return ModelSeries(stages, self._batch_size.labels(*key))

    def remove(self, name: str, version: int) -> None:
        """Drop the series of a version that is no longer loaded, if it has any."""
        key = (name, str(version))
        labels = self._labels.pop(key, None)
        if labels is None:
            return
        self._info.remove(*labels)
        for kind in KINDS:
            self._bytes.remove(*key, kind)
        for metric in (self._sparsity, self._ready, self._batch_size, *self._stages.values()):
            metric.remove(*key)
