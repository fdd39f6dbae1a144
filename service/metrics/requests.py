"""What became of the requests, and how many there are at the moment."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.errors import RequestError

OUTCOMES = ("ok", "rejected", "overloaded", "failed", "abandoned")
PROTOCOLS = ("image", "oip", "oip_binary")


def _codes(kind: type[RequestError]) -> list[str]:
    return [kind.code, *(code for below in kind.__subclasses__() for code in _codes(below))]


NOT_SUPPORTED = 501  # what a client asks for, and no failure of ours
CUTS = ("head", "body", "answer")
REASONS = (*_codes(RequestError), "method_not_allowed", "other")


class RequestMetrics:
    """Counters of predictions, and the gauges of load."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "csrve_requests",
            "Predictions by how they were asked for and how they ended",
            ["protocol", "outcome"],
            registry=registry,
        )
        self._rejected = Counter(
            "csrve_requests_rejected", "Predictions not answered with 200, by reason", ["reason"], registry=registry
        )
        self._queue_depth = Gauge("csrve_queue_depth", "Pictures waiting for the engine", registry=registry)
        self._in_flight = Gauge("csrve_requests_in_flight", "Predictions in the house", registry=registry)
        self._ready = Gauge("csrve_ready", "Whether /readyz says 200", registry=registry)
        self._cut = Counter(
            "csrve_connections_cut",
            "Connections closed on slow clients: in a request's head, in a body that no route reads, at an answer",
            ["at"],
            registry=registry,
        )
        for at in CUTS:
            self._cut.labels(at)
        for protocol in PROTOCOLS:
            for outcome in OUTCOMES:
                self._answered.labels(protocol, outcome)
        for reason in REASONS:
            self._rejected.labels(reason)

    def watch(
        self, queue_depth: Callable[[], float], in_flight: Callable[[], float], ready: Callable[[], bool]
    ) -> None:
        """Read the gauges when somebody asks, not before."""
        self._queue_depth.set_function(queue_depth)
        self._in_flight.set_function(in_flight)
        self._ready.set_function(ready)

    def count_answer(self, status: int, reason: str, protocol: str = "image") -> None:
        """Count a prediction by its status, and by its reason where that is not 200."""
        if status == 200:
            outcome = "ok"
        elif status in (503, 504):
            outcome = "overloaded"
        else:
            outcome = "failed" if status >= 500 and status != NOT_SUPPORTED else "rejected"
        self._answered.labels(protocol, outcome).inc()
        if status != 200:
            self._rejected.labels(reason if reason in REASONS else "other").inc()

    def count_cut(self, at: str) -> None:
        """Count a connection that was closed on a slow client, by one of `CUTS`."""
        self._cut.labels(at).inc()

    def count_abandoned(self, protocol: str = "image") -> None:
        """Count a prediction whose client went away before the answer."""
        self._answered.labels(protocol, "abandoned").inc()
