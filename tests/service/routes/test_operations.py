import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.settings import Settings
from tests.service.drawings import png


def test_health_and_readiness_of_a_running_service(client: TestClient) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (200, {"status": "ok"})


def test_a_service_that_drains_is_not_ready_but_answers(settings: Settings) -> None:
    app = build_app(settings)
    with TestClient(app) as client:
        app.state.application.lifecycle.draining = True
        assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, {"status": "draining"})
        assert client.get("/healthz").status_code == 200
        assert client.post("/predict", content=png(), headers={"Content-Type": "image/png"}).status_code == 200


def test_a_service_that_stops_takes_no_prediction_and_says_when_to_come_back(settings: Settings) -> None:
    app = build_app(settings)
    with TestClient(app) as client:
        app.state.application.lifecycle.stopping = True
        answer = client.post("/predict", content=png(), headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "draining", "1")
        assert client.get("/readyz").status_code == 503
        assert 'csrve_requests_rejected_total{reason="draining"} 1.0' in client.get("/metrics").text.splitlines()


def test_a_service_that_has_not_started_is_not_ready(settings: Settings) -> None:
    client = TestClient(build_app(settings))
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (503, {"status": "starting"})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
def test_metrics_are_in_the_format_asked_for(client: TestClient, accept: str, kind: str) -> None:
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(kind)
    assert 'csrve_model_bytes{kind="resident",model="grey",version="1"}' in answer.text


@pytest.mark.parametrize("count", [20, pytest.param(3400, marks=pytest.mark.slow)])
def test_strange_requests_make_no_new_series(client: TestClient, count: int) -> None:
    before = len(client.get("/metrics").text.splitlines())
    for index in range(count):
        client.get(f"/path{index}")
        client.request(f"METHOD{index}", "/predict")
        client.post(f"/predict?model=m{index}", content=b"x", headers={"Content-Type": "image/png"})
    assert len(client.get("/metrics").text.splitlines()) == before
    assert before < 600
