"""One trace a request, in the SDK's own memory."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient

from service.app import build_app
from service.engine.plan import Array
from service.errors import SettingsError
from service.settings import Settings, read_settings
from service.tracing import Tracing
from tests.service.asgi import parts_of, post
from tests.service.drawings import png
from tests.service.plans import CPU_RUN, CpuPlan
from tests.service.processes import serving
from tests.service.test_predictions import Gate, gate

__all__ = ["gate"]

PNG = {"Content-Type": "image/png"}
PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Traced:
    """An application whose spans stay in memory."""

    def __init__(self, settings: Settings, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.app: FastAPI = build_app(settings, Tracing(provider))

    def spans(self, name: str) -> Sequence[ReadableSpan]:
        """Those of that name, once the application has ended."""
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_a_prediction_is_one_trace_below_the_clients(settings: Settings) -> None:
    traced = Traced(settings)
    with TestClient(traced.app) as client:
        client.post(
            "/predict?model=colour", content=png(), headers={**PNG, "traceparent": PARENT, "X-Request-ID": "me"}
        )
    (http,), (queue,), (batch,), (infer,) = (
        traced.spans(name) for name in ("POST /predict", "queue", "batch", "infer")
    )
    assert {span.context.trace_id for span in (http, queue, batch, infer)} == {int("a" * 32, 16)}
    assert parent_of(http) == int("b" * 16, 16)
    assert [parent_of(span) for span in (queue, batch, infer)] == [
        span.context.span_id for span in (http, queue, batch)
    ]
    assert http.kind is SpanKind.SERVER
    stable = {"http.request.method": "POST", "http.route": "/predict", "http.response.status_code": 200}
    ours = {"csrve.model": "colour", "csrve.version": "2", "csrve.batch_size": "1", "csrve.request_id": "me"}
    assert (stable | ours).items() <= dict(http.attributes or {}).items()
    engine = parts_of(traced.app).models.all()[0].plan.name
    assert batch.attributes == {"csrve.batch_size": 1, "csrve.engine": engine}
    times = [http.start_time, queue.start_time, queue.end_time, infer.start_time, infer.end_time, batch.end_time]
    assert times == sorted(time for time in times if time is not None)
    assert queue.end_time == batch.start_time


def test_a_batch_has_links_to_all_its_requests_and_they_have_one_to_it(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with traced.app.router.lifespan_context(traced.app):
            gate.open.clear()
            first = asyncio.create_task(post(traced.app))
            while not gate.entered.is_set():
                await asyncio.sleep(0.001)
            rest = [asyncio.create_task(post(traced.app)) for _ in range(3)]
            while parts_of(traced.app).queue.depth < 3:
                await asyncio.sleep(0.001)
            gate.open.set()
            for task in (first, *rest):
                assert (await task)[0]["status"] == 200

    traced = Traced(settings)
    asyncio.run(asyncio.wait_for(main(), 60))
    assert len({span.context.trace_id for span in traced.spans("POST /predict")}) == 4
    lone, full = sorted(traced.spans("batch"), key=lambda span: len(span.links))
    assert (len(lone.links), len(full.links)) == (1, 3)
    for batch in (lone, full):
        members = {link.context.span_id for link in batch.links}
        queues = [span for span in traced.spans("queue") if span.context.span_id in members]
        assert len(queues) == len(batch.links)
        assert {link.context.span_id for span in queues for link in span.links} == {batch.context.span_id}


def test_pictures_of_one_request_wait_in_spans_of_their_own(settings: Settings) -> None:
    traced = Traced(settings)
    body = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": 0}}]}
    document = json.dumps(body).replace('"binary_data_size": 0', f'"binary_data_size": {2 * (4 + len(png()))}').encode()
    picture = len(png()).to_bytes(4, "little") + png()
    with TestClient(traced.app) as client:
        answer = client.post(
            "/v2/models/colour/infer",
            content=document + 2 * picture,
            headers={"Inference-Header-Content-Length": str(len(document))},
        )
        assert answer.status_code == 200, answer.text
    (http,) = traced.spans("POST /v2/models/{name}/infer")
    assert [parent_of(span) for span in traced.spans("queue")] == [http.context.span_id] * 2


def test_a_failure_of_the_engine_shows(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: CpuPlan, batch: Array) -> Array:
        raise ValueError("secret")

    traced = Traced(settings)
    with TestClient(traced.app, raise_server_exceptions=False) as client:
        monkeypatch.setattr(CpuPlan, CPU_RUN, fail)
        assert client.post("/predict", content=png(), headers=PNG).status_code == 500
    (http,), (batch,) = traced.spans("POST /predict"), traced.spans("batch")
    assert (http.status.status_code, batch.status.status_code) == (StatusCode.ERROR, StatusCode.ERROR)
    assert batch.status.description == "the engine failed on 1 of 1 pictures"
    assert (http.attributes or {})["csrve.code"] == "inference_failed"
    assert not traced.spans("infer")
    assert "secret" not in str([span.to_json() for span in traced.exporter.get_finished_spans()])


def test_the_log_and_the_exemplars_name_the_requests_own_span(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "csrve")
    traced = Traced(settings)
    with TestClient(traced.app) as client:
        client.post("/predict", content=png(), headers=PNG)
        metrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
        plain = client.get("/metrics").text
    (http,) = traced.spans("POST /predict")
    (entry,) = [record.__dict__["entry"] for record in caplog.records if record.getMessage() == "request"]
    trace_id = f"{http.context.trace_id:032x}"
    assert (entry["trace_id"], entry["span_id"]) == (trace_id, f"{http.context.span_id:016x}")
    told = [line for line in metrics.splitlines() if f'# {{trace_id="{trace_id}"}}' in line]
    assert {line.partition("_bucket{")[0] for line in told} == {
        f"csrve_{stage}_duration_seconds" for stage in ("read", "preprocess", "queue", "inference", "request")
    }
    assert trace_id not in plain


def test_probes_have_no_span(settings: Settings) -> None:
    traced = Traced(settings)
    with TestClient(traced.app) as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert client.get(path).status_code == 200
    assert not traced.exporter.get_finished_spans()


def test_what_is_not_sampled_costs_no_span(settings: Settings) -> None:
    traced = Traced(settings, ALWAYS_OFF)
    with TestClient(traced.app) as client:
        assert client.post("/predict", content=png(), headers=PNG).status_code == 200
    assert not traced.exporter.get_finished_spans()


def test_a_tracer_that_fails_costs_no_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Tracing, "record", fail)
    with TestClient(Traced(settings).app) as client:
        for _ in range(3):
            assert client.post("/predict", content=png(), headers=PNG).status_code == 200
    assert [record.__dict__["entry"] for record in caplog.records if record.levelname == "ERROR"] == [
        {"during": "tracing"}
    ] * 3


def test_without_the_extra_the_setting_says_what_is_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "service.tracing", None)
    with pytest.raises(SettingsError) as caught:
        build_app(replace(settings, tracing="otlp"))
    assert str(caught.value) == 'tracing "otlp": needs OpenTelemetry, which the extra otel installs'


def test_another_tracing_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(["--store", "a"], {"CSRVE_TRACING": "jaeger"})
    assert str(caught.value) == 'tracing "jaeger", must be off or otlp'


def test_where_it_is_off_the_sdk_is_not_imported_and_fastapi_traces_nothing(published: Path) -> None:
    command = (
        "import sys\nfrom pathlib import Path\n"
        "from service.app import build_app\nfrom service.settings import Settings\n"
        f"app = build_app(Settings(store=Path({str(published)!r}), default_model='colour'))\n"
        "extra = [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]\n"
        "print(app._native_telemetry.enabled(), extra, 'service.tracing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False [] False\n"


class Collector(BaseHTTPRequestHandler):
    """Takes what is posted, and says yes."""

    received: ClassVar[list[tuple[str, bytes]]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.slow
def test_a_process_sends_its_spans_where_the_variables_say(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept(Collector):
        received: ClassVar[list[tuple[str, bytes]]] = []

    with HTTPServer(("127.0.0.1", 0), Kept) as collector:
        listening = Thread(target=collector.serve_forever)
        listening.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        try:
            with serving(published, "--default-model", "colour", "--tracing", "otlp") as service:
                assert service.get("/models") == 200
                assert service.stop() == 0
        finally:
            collector.shutdown()
            listening.join()
    (path, body), *_ = Kept.received
    assert path == "/v1/traces"
    assert b"GET /models" in body
    assert b"csrve" in body


@pytest.mark.slow
def test_a_collector_that_is_not_there_does_not_hold_the_exit_up(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with serving(published, "--default-model", "colour", "--tracing", "otlp") as service:
        assert service.get("/models") == 200
        assert service.stop() == 0
