import json
import logging

import pytest
from starlette.testclient import TestClient

from tests.service.drawings import png


def test_a_sane_request_id_is_echoed(steady_client: TestClient) -> None:
    for given in ("a", "A.b_c-9", "x" * 64):
        assert steady_client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\u00e9", "<script>", "a;b", '"'])
def test_another_request_id_is_replaced(steady_client: TestClient, given: str) -> None:
    found = steady_client.get("/healthz", headers={b"X-Request-ID": given.encode("latin-1")}).headers["x-request-id"]
    assert len(found) == 16
    assert int(found, 16) >= 0


def test_a_request_is_one_line_of_the_log(steady_client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "csrve")
    headers = {"Content-Type": "image/png", "X-Request-ID": "me"}
    steady_client.post("/predict", content=png(), headers=headers)
    (record,) = [record for record in caplog.records if record.getMessage() == "request"]
    entry = record.__dict__["entry"]
    json.dumps(entry)
    assert {key: entry[key] for key in ("request_id", "method", "path", "status", "code", "model", "version")} == {
        "request_id": "me",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "code": "",
        "model": "colour",
        "version": 2,
    }
    assert (entry["bytes_in"], entry["batch_size"]) == (len(png()), 1)
    for stage in ("read", "decode", "queue", "inference", "total"):
        assert entry[f"{stage}_ms"] >= 0
    assert "trace_id" not in entry


def test_the_answer_tells_where_its_time_went(steady_client: TestClient) -> None:
    answer = steady_client.post("/predict", content=png(), headers={"Content-Type": "image/png"})
    parts = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert {stage: float(duration_ms) for stage, duration_ms in parts.items()} == pytest.approx(
        answer.json()["timing_ms"], rel=1e-4
    )
    assert "server-timing" not in steady_client.get("/models").headers


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", ("a" * 32, "b" * 16)),
        ("00-" + "A" * 32 + "-" + "b" * 16 + "-01", None),
        ("00-short-01", None),
    ],
)
def test_the_clients_trace_is_in_the_log(
    steady_client: TestClient, caplog: pytest.LogCaptureFixture, given: str, expected: tuple[str, str] | None
) -> None:
    caplog.set_level(logging.INFO, "csrve")
    steady_client.get("/models", headers={"traceparent": given})
    (record,) = [record for record in caplog.records if record.getMessage() == "request"]
    entry = record.__dict__["entry"]
    assert (entry["trace_id"], entry["span_id"]) == expected if expected else "trace_id" not in entry


def test_probes_are_not_logged(steady_client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "csrve")
    for path in ("/healthz", "/readyz", "/metrics"):
        steady_client.get(path)
    assert not [record for record in caplog.records if record.getMessage() == "request"]
