"""Every metric, declared once: prefix csrve_, base units, closed label sets, each series there from the start.

The series of a model version come when it is loaded and go when it is unloaded; no request makes one.
"""

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from service.metrics.comparisons import ComparisonMetrics
from service.metrics.models import ModelMetrics
from service.metrics.requests import RequestMetrics

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = RequestMetrics(self._registry)
        self.models = ModelMetrics(self._registry)
        self.comparisons = ComparisonMetrics(self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) of everything, in the format that `accept` asks for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type
