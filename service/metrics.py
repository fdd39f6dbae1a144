"""Every metric, declared once: prefix csrve_, base units, closed label sets, each series there from the start."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from service.errors import RequestError

STAGES = ("read", "decode", "queue", "inference")
OUTCOMES = ("ok", "rejected", "overloaded", "failed", "abandoned")
_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        self.stage_seconds = Histogram(
            "csrve_stage_duration_seconds",
            "Time of each stage of the predictions answered with 200",
            ["stage"],
            registry=registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.request_seconds = Histogram(
            "csrve_request_duration_seconds",
            "Time from the request's head to its answer, of the predictions answered with 200",
            registry=registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.bundle_decode_seconds = Histogram(
            "csrve_bundle_decode_seconds",
            "Time to decode a bundle when it is loaded",
            registry=registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.batch_size = Histogram(
            "csrve_batch_size", "Pictures in one run of the engine", registry=registry, buckets=_BATCH_BUCKETS
        )
        self.model_bytes = Gauge(
            "csrve_model_bytes",
            "Bytes of a loaded model: the dense network it came from, its bundle, what its engine holds",
            ["model", "version", "kind"],
            registry=registry,
        )
        self.model_sparsity = Gauge(
            "csrve_model_sparsity_ratio",
            "Share of a loaded model's weights that is zero",
            ["model", "version"],
            registry=registry,
        )
        self.queue_depth = Gauge("csrve_queue_depth", "Pictures waiting for the engine", registry=registry)
        self.requests_in_flight = Gauge("csrve_requests_in_flight", "Predictions in the house", registry=registry)
        self.damaged_models = Gauge("csrve_models_damaged", "Models that could not be loaded", registry=registry)
        self.requests = Counter("csrve_requests", "Predictions by how they ended", ["outcome"], registry=registry)
        self.rejected = Counter(
            "csrve_requests_rejected", "Predictions not answered with 200, by reason", ["reason"], registry=registry
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        for outcome in OUTCOMES:
            self.requests.labels(outcome)
        for reason in REASONS:
            self.rejected.labels(reason)

    def watch(self, queue_depth: Callable[[], float], in_flight: Callable[[], float]) -> None:
        """Read the two gauges of load when somebody asks, not before."""
        self.queue_depth.set_function(queue_depth)
        self.requests_in_flight.set_function(in_flight)

    def add_model(self, name: str, version: int, sizes: dict[str, int], sparsity: float) -> None:
        """Series of a model that was loaded; `sizes` has the kinds dense, bundle and resident."""
        for kind, size in sizes.items():
            self.model_bytes.labels(name, str(version), kind).set(size)
        self.model_sparsity.labels(name, str(version)).set(sparsity)

    def remove_model(self, name: str, version: int) -> None:
        """Drop the series of a model that is no longer loaded."""
        for kind in ("dense", "bundle", "resident"):
            self.model_bytes.remove(name, str(version), kind)
        self.model_sparsity.remove(name, str(version))

    def count_answer(self, status: int, reason: str) -> None:
        """Count a prediction by its status, and by its reason where that is not 200."""
        if status == 200:
            outcome = "ok"
        elif status in (503, 504):
            outcome = "overloaded"
        else:
            outcome = "failed" if status >= 500 else "rejected"
        self.requests.labels(outcome).inc()
        if status != 200:
            self.rejected.labels(reason if reason in REASONS else "other").inc()

    def count_abandoned(self) -> None:
        """Count a prediction whose client went away before the answer."""
        self.requests.labels("abandoned").inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) of everything, in the format that `accept` asks for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


def _codes(kind: type[RequestError]) -> list[str]:
    return [kind.code, *(code for below in kind.__subclasses__() for code in _codes(below))]


REASONS = (*_codes(RequestError), "method_not_allowed", "other")
