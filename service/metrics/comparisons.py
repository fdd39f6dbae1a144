"""How two models compare where a canary or a shadow is set: do they agree, and how fast is each."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.metrics.buckets import PICTURE_S

RESULTS = ("agree", "disagree", "dropped", "failed")
SIDES = ("primary", "candidate")
_PAIR = ("kind", "primary", "candidate")


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonSeries:
    """The series of one canary or shadow.

    Attributes:
        results: the agreement rate is agree / (agree + disagree); dropped and failed were not compared.
        picture_s: the engine's time for a picture, by side.
        fallbacks: requests that the candidate was to answer and could not.
    """

    results: dict[str, Counter]
    picture_s: dict[str, Histogram]
    fallbacks: Counter


class ComparisonMetrics:
    """Declares the metrics of canaries and shadows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._results = Counter(
            "csrve_comparisons",
            "Pictures shown to two models, by whether the likeliest classes agree; dropped under load; failed",
            [*_PAIR, "result"],
            registry=registry,
        )
        self._picture_s = Histogram(
            "csrve_comparison_picture_seconds",
            "The engine's time for one picture of its batch, where two models were compared",
            [*_PAIR, "side"],
            registry=registry,
            buckets=PICTURE_S,
        )
        self._fallbacks = Counter(
            "csrve_canary_fallbacks",
            "Requests that the candidate could not answer, so that the primary did",
            _PAIR,
            registry=registry,
        )

    def add(self, kind: str, primary: str, candidate: str) -> ComparisonSeries:
        """The series of a pair that the settings name."""
        pair = (kind, primary, candidate)
        return ComparisonSeries(
            {result: self._results.labels(*pair, result) for result in RESULTS},
            {side: self._picture_s.labels(*pair, side) for side in SIDES},
            self._fallbacks.labels(*pair),
        )
