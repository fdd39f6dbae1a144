"""Every error has one shape and says nothing of the inside."""

import re
import sys
import traceback
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.app import build_app
from service.errors import Overloaded, RequestError
from service.inference import InferenceQueue
from service.pacing import Pace
from service.predictions import Predictor
from service.settings import Settings
from tests.service.drawings import png
from tests.service.plans import CPU_RUN, CpuPlan
from tests.service.routes.test_predict import ERRORS

MEMBERS = ["type", "title", "status", "detail", "code", "request_id"]
LEAK = re.compile(
    r"Traceback|\w(?:Error|Exception|Warning)\b|/tmp|/usr|/root|\.py|site-packages|uvicorn|[Ss]tarlette|[Ff]ast[Aa][Pp][Ii]|[Pp]ydantic|[Pp]ython|numpy|[Pp]illow|PIL"
    r"|h11|[0-9a-f]{40}|\d+\.\d+\.\d+",
)


def check(client: TestClient, method: str, path: str, **options: object) -> dict[str, object]:
    """Send a request that must fail, and look at every byte of the answer."""
    answer = client.request(method, path, headers={"X-Request-ID": "the-id", **options.pop("headers", {})}, **options)  # type: ignore[arg-type, dict-item]
    assert answer.status_code >= 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "the-id"
    body: dict[str, object] = answer.json()
    assert list(body) == MEMBERS
    assert body["status"] == answer.status_code
    assert body["request_id"] == "the-id"
    for text in (*(str(value) for value in body.values()), *answer.headers.values()):
        assert not LEAK.search(text), text
    return body


@pytest.mark.parametrize(("query", "content", "headers", "status", "code"), ERRORS, ids=range(len(ERRORS)))
def test_predictions_fail_in_the_one_shape(
    steady_client: TestClient, query: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    body = check(steady_client, "POST", f"/predict{query}", content=content, headers=headers)
    assert (body["status"], body["code"]) == (status, code)


def test_the_frameworks_own_errors_have_the_one_shape(steady_client: TestClient) -> None:
    assert check(steady_client, "GET", "/nothing")["code"] == "not_found"
    assert check(steady_client, "GET", "/predict")["code"] == "method_not_allowed"
    assert check(steady_client, "GET", "/models/colour?version=X")["code"] == "invalid_query"


def test_a_problem_reads_like_this(steady_client: TestClient) -> None:
    assert check(steady_client, "GET", "/models/nothing") == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "The store has no such model or version.",
        "code": "model_not_found",
        "request_id": "the-id",
    }


def test_a_bad_query_names_the_parameter(steady_client: TestClient) -> None:
    body = check(steady_client, "POST", "/predict?top_k=0&model=" + "x" * 65 + "")
    assert body["detail"] == (
        "query.model: String should have at most 64 characters; query.top_k: Input should be greater than or equal to 1"
    )


def _raising(error: Exception) -> Callable[..., object]:
    def fail(*arguments: object) -> object:
        raise error

    return fail


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return build_app(settings)


@pytest.mark.parametrize(
    ("target", "name", "error", "status", "code"),
    [
        (CpuPlan, CPU_RUN, ValueError("secret /usr/lib/x.py"), 500, "inference_failed"),
        (CpuPlan, CPU_RUN, MemoryError("secret"), 500, "inference_failed"),
        (Predictor, "predict", RuntimeError("secret /usr/lib/x.py"), 500, "internal_error"),
        (Predictor, "predict", MemoryError("secret"), 503, "overloaded"),
    ],
)
def test_a_crash_is_told_to_the_log_and_not_to_the_client(
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    target: type,
    name: str,
    error: Exception,
    status: int,
    code: str,
) -> None:
    with TestClient(app) as client:
        with monkeypatch.context() as patched:
            patched.setattr(target, name, _raising(error))
            body = check(client, "POST", "/predict", content=png(), headers={"Content-Type": "image/png"})
            assert (body["status"], body["code"]) == (status, code)
            assert "secret" not in str(body)
        assert [record for record in caplog.records if record.levelname == "ERROR"]
        assert client.post("/predict", content=png(), headers={"Content-Type": "image/png"}).status_code == 200


def test_overload_says_when_to_come_back(settings: Settings, app: FastAPI) -> None:
    with TestClient(app) as client:
        app.state.application.predictor.in_flight = settings.request_limit
        answer = client.post("/predict", content=png(), headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")


def test_every_kind_of_error_has_a_status_and_a_code_of_its_own() -> None:
    kinds = RequestError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)


def test_a_refusal_that_waits_for_its_turn_holds_nothing_of_its_request(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[object] = []

    async def turn(refusals: Pace) -> None:
        error = sys.exception()
        assert isinstance(error, Overloaded)
        held.extend((error.__traceback__ and traceback.extract_tb(error.__traceback__)[-1].name, error.__context__))

    monkeypatch.setattr(Pace, "turn", turn)
    monkeypatch.setattr(InferenceQueue, "check_room", full)
    with TestClient(build_app(settings)) as client:
        assert client.post("/predict", content=png(), headers={"Content-Type": "image/png"}).status_code == 503
    assert len(held) == 2
    assert held[0] != "full", "the frames that raised it, which had the body"
    assert held[1] is None


def full(queue: InferenceQueue, plan: object) -> None:
    raise Overloaded("There is no room.", 1) from ValueError("of another error")
