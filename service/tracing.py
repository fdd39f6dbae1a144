"""OpenTelemetry: one trace a request, http -> queue -> batch -> infer. Imported only where tracing is on.

The span of the HTTP request is FastAPI's own, with the stable names of OpenTelemetry's conventions. Below it, by
picture, `queue` is the wait for the engine. `batch` is what a thread of the engine did for all pictures that it took
together: it stands below the first picture's `queue` and has a link to every member's, and each of those has a link to
it. `infer` is the engine's run. All three are written once the answers are out, from the times that were taken anyway.
"""

import threading
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, StatusCode

from service import __version__
from service.correlation import QUIET, RequestRecord
from service.runs import Outcome

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

STOP_TIMEOUT_S = 2.0  # for the last spans: a collector that is gone does not hold the exit up


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Where, in which trace, a picture began to wait for the engine, and when (perf_counter)."""

    context: Context
    at_s: float


class Tracing:
    """Writes the spans of one application."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("csrve", __version__)

    def of_http(self) -> "TelemetryConfig":
        """What FastAPI is to do: one span a request, none for probes."""

        def quiet(scope: MutableMapping[str, Any]) -> bool:
            return scope["path"] in QUIET

        return {
            "tracer_provider": self._provider,
            "tracing": True,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": quiet,
        }

    def identify(self) -> tuple[str, str] | None:
        """(trace id, span id) of the request that is being answered; None where it has no span."""
        span = trace.get_current_span().get_span_context()
        return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None

    def describe(self, record: RequestRecord) -> None:
        """Put on the request's span what the log says of it."""
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attribute("csrve.request_id", record.request_id)
            if record.code:
                span.set_attribute("csrve.code", record.code)
            for name in ("model", "version", "batch_size"):
                if name in record.entry:
                    span.set_attribute(f"csrve.{name}", str(record.entry[name]))

    def ask(self) -> Asked:
        """To be called where a picture begins to wait."""
        return Asked(contexts.get_current(), time.perf_counter())

    def record(
        self, engine: str, members: Sequence[tuple[object, Outcome | None]], began_s: float, ended_s: float
    ) -> None:
        """Write the spans of a batch.

        Args:
            members: what `ask` gave for each picture, and what became of it, None for a failure.
            began_s: when the batch was taken (perf_counter).
            ended_s: when all of it was done.
        """
        clock = _Clock()
        queues = [
            self._tracer.start_span("queue", asked.context, start_time=clock.ns(asked.at_s))
            for asked, _ in members
            if isinstance(asked, Asked)
        ]
        sampled = [span for span in queues if span.is_recording()]
        if sampled:
            self._record_batch(engine, sampled, [outcome for _, outcome in members], clock, (began_s, ended_s))
        for span in queues:
            span.end(clock.ns(began_s))

    def _record_batch(
        self,
        engine: str,
        queues: Sequence[Span],
        outcomes: Sequence[Outcome | None],
        clock: "_Clock",
        marks: tuple[float, float],
    ) -> None:
        batch = self._tracer.start_span(
            "batch",
            trace.set_span_in_context(queues[0]),
            attributes={"csrve.batch_size": len(outcomes), "csrve.engine": engine},
            links=[Link(span.get_span_context()) for span in queues],
            start_time=clock.ns(marks[0]),
        )
        for span in queues:
            span.add_link(batch.get_span_context())
        failed = outcomes.count(None)
        if failed:
            batch.set_status(StatusCode.ERROR, f"the engine failed on {failed} of {len(outcomes)} pictures")
        runs = {(outcome.started_s, outcome.ended_s): outcome.batch_size for outcome in outcomes if outcome}
        for (started_s, ended_s), size in sorted(runs.items()):
            infer = self._tracer.start_span(
                "infer",
                trace.set_span_in_context(batch),
                attributes={"csrve.batch_size": size},
                start_time=clock.ns(started_s),
            )
            infer.end(clock.ns(ended_s))
        batch.end(clock.ns(marks[1]))

    def stop(self) -> None:
        """Send what is left, in bounded time."""
        sending = threading.Thread(target=self._provider.shutdown, name="csrve-tracing", daemon=True)
        sending.start()
        sending.join(STOP_TIMEOUT_S)


class _Clock:
    """perf_counter's seconds as nanoseconds since 1970."""

    def __init__(self) -> None:
        self._since_ns = time.time_ns() - time.perf_counter_ns()

    def ns(self, at_s: float) -> int:
        return self._since_ns + round(1e9 * at_s)


def otlp_tracing() -> Tracing:
    """Tracing to an OTLP collector, where and how the standard OTEL_* variables say; the service is called csrve."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "csrve"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
