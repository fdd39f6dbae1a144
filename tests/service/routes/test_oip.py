"""The protocol over HTTP, without its client: what the client never sends, and what it cannot see."""

import asyncio
import gzip
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message

from model_store.bundle import encode_bundle
from model_store.store import Store
from service import __version__
from service.app import build_app
from service.settings import Settings
from tests.service.bundles import residual_bundle
from tests.service.drawings import blank_png, png
from tests.service.oip.drawn import document_of, element, one_input
from tests.service.test_predictions import Gate, gate, parts_of
from tests.service.test_problems import LEAK, MEMBERS

__all__ = ["gate"]  # a fixture

INFER = "/v2/models/colour/infer"
LENGTH = "Inference-Header-Content-Length"
RAW = {LENGTH: "0"}
TOKEN = "the-admin-token-of-the-tests"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
ZEROS = document_of(inputs=[one_input(shape=[1, 3, 8, 8], data=[0] * 192)])


@pytest.fixture
def admin_client(settings: Settings, store: Store, tmp_path: Path) -> TestClient:
    """A client of an application that may load and unload, over a store to change."""
    return TestClient(build_app(replace(settings, store=tmp_path / "store", admin_token=TOKEN)))


def test_a_raw_body_is_one_picture(steady_client: TestClient) -> None:
    answer = steady_client.post(INFER, content=png(), headers=RAW)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    length = int(answer.headers[LENGTH])
    assert [output["name"] for output in json.loads(answer.content[:length])["outputs"]] == ["probabilities", "logits"]
    probabilities = np.frombuffer(answer.content[length:][:16], "<f4")
    predicted = steady_client.post("/predict", content=png(), headers={"Content-Type": "image/png"}).json()
    assert float(probabilities.max()) == pytest.approx(predicted["probability"], rel=1e-6)


def test_the_media_type_is_not_looked_at(steady_client: TestClient) -> None:
    for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/octet-stream"}):
        assert steady_client.post(INFER, content=ZEROS, headers=kind).status_code == 200


def test_the_server_is_described_with_and_without_a_slash(steady_client: TestClient) -> None:
    first, second = steady_client.get("/v2"), steady_client.get("/v2/")
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.json()["version"] == __version__


def test_health_is_said_in_the_body_too(steady_client: TestClient) -> None:
    assert steady_client.get("/v2/health/live").json() == {"live": True}
    assert steady_client.get("/v2/health/ready").json() == {"ready": True}
    assert steady_client.get("/v2/models/grey/ready").json() == {"name": "grey", "ready": True}


def test_a_service_that_drains_is_live_and_not_ready(settings: Settings) -> None:
    app = build_app(settings)
    with TestClient(app) as client:
        parts_of(app).lifecycle.draining = True
        answer = client.get("/v2/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
        assert client.get("/v2/health/live").status_code == 200


def test_models_say_how_pictures_are_prepared(steady_client: TestClient) -> None:
    described = steady_client.get("/v2/models/grey").json()
    assert described["parameters"]["mean"] == [0.5]
    assert described["parameters"]["std"] == [0.25]
    assert described["parameters"]["class_names"] == ["class 0", "class 1", "class 2"]
    contents = {tensor["name"]: tensor["parameters"]["content"] for tensor in described["inputs"]}
    assert contents["image"] == (
        "encoded PNG, JPEG or WebP of any size; "
        "the service has it resized to 12 x 10 (bilinear), scaled to [0, 1], normalised by mean and std"
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_answers_are_compressed_where_that_pays(steady_client: TestClient, coding: str) -> None:
    many = document_of(inputs=[one_input(shape=[16, 3, 8, 8], data=[0] * 192 * 16)])
    plain = steady_client.post(INFER, content=many, headers={"Accept-Encoding": "identity"})
    packed = steady_client.post(INFER, content=many, headers={"Accept-Encoding": coding})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == coding
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.json() == plain.json()
    small = steady_client.post(INFER, content=ZEROS, headers={"Accept-Encoding": coding})
    assert "content-encoding" not in small.headers


def bomb() -> bytes:
    return gzip.compress(b" " * (64 << 20))


ERRORS = [
    (INFER, b"", {}, 400, "invalid_upload", "body: not JSON from character 0 on"),
    (INFER, b"{}", {}, 400, "invalid_inference", "inputs = null, must be a list"),
    (INFER, ZEROS, {LENGTH: "9999"}, 400, "invalid_inference", None),
    (INFER, b"", RAW, 400, "invalid_inference", None),
    (INFER, b"<html>", RAW, 415, "unsupported_media_type", None),
    (INFER, blank_png(2048, 2049), RAW, 413, "too_many_pixels", None),
    (INFER, ZEROS, {"Content-Encoding": "br"}, 415, "unsupported_media_type", None),
    (INFER, ZEROS, {"Content-Encoding": "gzip"}, 400, "invalid_upload", "body: damaged, must be gzip"),
    (INFER, bomb(), {"Content-Encoding": "gzip"}, 413, "body_too_large", None),
    (INFER, zlib.compress(ZEROS)[:-2], {"Content-Encoding": "deflate"}, 400, "invalid_upload", None),
    (INFER, b"x" * ((8 << 20) + 1), {}, 413, "body_too_large", None),
    (INFER, b"[" * 200_000, {}, 400, "invalid_upload", None),
    ("/v2/models/nothing/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/colour/versions/9/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/colour/versions/0/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/colour/versions/01/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/colour/versions/x/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/..%5Ccolour/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/a%00b/infer", ZEROS, {}, 404, "model_not_found", None),
    ("/v2/models/colour/nothing", b"", {}, 404, "not_found", "There is nothing at this address."),
    ("/v2/models/colour", b"", {}, 405, "method_not_allowed", None),
    ("/v2/repository/index", b"[", {}, 400, "invalid_upload", None),
    ("/v2/repository/index", b" " * 65_537, {}, 413, "body_too_large", None),
    ("/v2/repository/models/colour/load", b"", {}, 403, "forbidden", None),
    ("/v2/repository/models/nothing/unload", b"", ADMIN, 403, "forbidden", None),
]


@pytest.mark.parametrize(("path", "content", "headers", "status", "code", "detail"), ERRORS, ids=range(len(ERRORS)))
def test_errors_are_problems_that_the_protocol_understands(
    steady_client: TestClient,
    path: str,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
    detail: str | None,
) -> None:
    answer = steady_client.post(path, content=content, headers={"X-Request-ID": "the-id", **headers})
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert list(body) == [*MEMBERS, "error"]
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["error"] == body["detail"]
    assert detail is None or body["detail"] == detail
    for text in (*(str(value) for value in body.values()), *answer.headers.values()):
        assert not LEAK.search(text), text
    assert steady_client.post(INFER, content=ZEROS).status_code == 200


def test_errors_elsewhere_keep_their_shape(steady_client: TestClient) -> None:
    for path in ("/nothing", "/v22", "/predict"):
        assert list(steady_client.get(path).json()) == MEMBERS


def test_a_chunked_body_over_the_limit_is_refused(steady_client: TestClient) -> None:
    answer = steady_client.post(INFER, content=(b"x" * 65_536 for _ in range(129)))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_inferences_are_counted_and_timed(client: TestClient) -> None:
    pictures = b"".join(element(png()) for _ in range(3))
    entry = one_input(
        name="image", datatype="BYTES", shape=[3], data=None, parameters={"binary_data_size": len(pictures)}
    )
    header = document_of(inputs=[entry])
    assert client.post(INFER, content=header + pictures, headers={LENGTH: str(len(header))}).status_code == 200
    assert client.post(INFER, content=b"{}").status_code == 400
    client.get("/v2")
    client.get("/v2/models/colour")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'csrve_requests_total{outcome="ok",protocol="oip_binary"} 1.0',
        'csrve_requests_total{outcome="rejected",protocol="oip"} 1.0',
        'csrve_requests_rejected_total{reason="invalid_inference"} 1.0',
        'csrve_inference_duration_seconds_count{model="colour",version="2"} 1.0',
        'csrve_request_duration_seconds_count{model="colour",version="2"} 1.0',
        'csrve_batch_size_sum{model="colour",version="2"} 3.0',
        "csrve_requests_in_flight 0.0",
    ):
        assert line in lines


def test_strange_addresses_make_no_new_series(client: TestClient) -> None:
    before = len(client.get("/metrics").text.splitlines())
    for index in range(20):
        client.post(f"/v2/models/m{index}/infer", content=b"x")
        client.post(f"/v2/models/a/b{index}/infer", content=b"x")
    assert len(client.get("/metrics").text.splitlines()) == before


def test_the_clients_timeout_is_kept(settings: Settings, gate: Gate) -> None:
    hurried = document_of(inputs=[one_input(shape=[1, 3, 8, 8], data=[0] * 192)], parameters={"timeout": 30_000})
    with TestClient(build_app(settings)) as client:
        answer = client.post(INFER, content=hurried)
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
        assert answer.json()["error"] == "The answer was not ready within 0.03 s."
        gate.open.set()
        assert client.get("/v2/models/colour/stats").json()["model_stats"][0]["inference_stats"]["fail"]["count"] == 1


def test_the_services_deadline_is_kept_whatever_the_client_says(settings: Settings, gate: Gate) -> None:
    patient = document_of(inputs=[one_input(shape=[1, 3, 8, 8], data=[0] * 192)], parameters={"timeout": 60_000_000})
    with TestClient(build_app(replace(settings, deadline_s=0.05))) as client:
        assert client.post(INFER, content=patient).json()["error"] == "The answer was not ready within 0.05 s."
        gate.open.set()


def test_overload_says_when_to_come_back(settings: Settings) -> None:
    app = build_app(settings)
    with TestClient(app) as client:
        parts_of(app).predictor.in_flight = settings.request_limit
        answer = client.post(INFER, content=ZEROS)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        parts_of(app).predictor.in_flight = 0
        assert client.post(INFER, content=ZEROS).status_code == 200


def test_a_request_that_does_not_fit_the_queue_leaves_nothing_in_it(settings: Settings, gate: Gate) -> None:
    def pictures(count: int) -> bytes:
        return document_of(inputs=[one_input(shape=[count, 3, 8, 8], data=[0] * 192 * count)])

    app = build_app(replace(settings, queue_limit=4))
    with TestClient(app) as client, ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(client.post, INFER, content=pictures(1))]
        assert gate.entered.wait(20)  # the engine has that one in its hands
        waiting.append(threads.submit(client.post, INFER, content=pictures(3)))
        until_s = time.monotonic() + 20
        while parts_of(app).queue.depth < 3:
            assert time.monotonic() < until_s
            time.sleep(0.002)
        answer = client.post(INFER, content=pictures(2))
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert parts_of(app).queue.depth == 3
        gate.open.set()
        assert [each.result().status_code for each in waiting] == [200, 200]


def test_more_pictures_than_may_wait_are_never_answered_and_told_so(settings: Settings) -> None:
    many = document_of(inputs=[one_input(shape=[8, 3, 8, 8], data=[0] * 192 * 8)])
    with TestClient(build_app(replace(settings, queue_limit=4))) as client:
        answer = client.post(INFER, content=many)
        assert answer.status_code == 400
        assert "4" in answer.json()["detail"]


def test_a_client_that_vanishes_frees_its_place(settings: Settings, gate: Gate) -> None:
    async def post(leaves: asyncio.Event) -> list[Message]:
        messages: list[Message] = [{"type": "http.request", "body": ZEROS, "more_body": False}]
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": INFER, "raw_path": INFER.encode(), "query_string": b""}
        await app({**scope, "http_version": "1.1", "headers": [], "app": app}, receive, send)
        return sent

    async def main() -> None:
        async with app.router.lifespan_context(app):
            leaves = asyncio.Event()
            tasks = [asyncio.create_task(post(leaves)) for _ in range(5)]
            while not gate.entered.is_set() or parts_of(app).predictor.in_flight < 5:
                await asyncio.sleep(0.005)
            leaves.set()
            assert await asyncio.gather(*tasks) == [[]] * 5
            assert (parts_of(app).queue.depth, parts_of(app).predictor.in_flight) == (0, 0)
            gate.open.set()

    app: FastAPI = build_app(settings)
    asyncio.run(asyncio.wait_for(main(), 60))
    assert (
        'csrve_requests_total{outcome="abandoned",protocol="oip"} 5.0' in parts_of(app).metrics.render("")[0].decode()
    )


def test_loading_takes_the_stores_latest_version(admin_client: TestClient, store: Store) -> None:
    with admin_client as client:
        store.publish("colour", encode_bundle(residual_bundle(seed=77)), 3)
        assert client.post(INFER, content=ZEROS).json()["model_version"] == "2"
        assert client.post("/v2/repository/models/colour/load", headers=ADMIN).status_code == 200
        assert client.post(INFER, content=ZEROS).json()["model_version"] == "3"
        text = client.get("/metrics").text
        assert 'csrve_model_sparsity_ratio{model="colour",version="3"}' in text
        assert 'csrve_model_sparsity_ratio{model="colour",version="2"}' not in text


def test_a_load_that_fails_keeps_what_is_served(admin_client: TestClient, store: Store, tmp_path: Path) -> None:
    with admin_client as client:
        (tmp_path / "store" / "colour" / "3.csrve").write_bytes(b"no bundle")
        answer = client.post("/v2/repository/models/colour/load", headers=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")
        assert client.post(INFER, content=ZEROS).json()["model_version"] == "2"


def test_an_unloaded_model_is_gone_on_every_route_until_it_is_loaded(admin_client: TestClient) -> None:
    with admin_client as client:
        client.get("/models/colour?version=1")
        assert client.post("/v2/repository/models/colour/unload", headers=ADMIN).status_code == 200
        assert [model["name"] for model in client.get("/models").json()["models"]] == ["grey"]
        for path in ("/v2/models/colour", "/v2/models/colour/versions/1/ready", "/models/colour?version=1"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["detail"]) == (503, "The model is unloaded.")
        assert 'model="colour"' not in client.get("/metrics").text
        ready = client.post("/v2/repository/index", content=b'{"ready": true}').json()
        assert [entry["name"] for entry in ready] == ["grey"]
        assert client.post("/v2/repository/models/colour/load", headers=ADMIN).status_code == 200
        assert client.post(INFER, content=ZEROS).status_code == 200


def test_only_models_of_the_store_are_loaded_and_unloaded(admin_client: TestClient) -> None:
    with admin_client as client:
        for call in ("load", "unload"):
            answer = client.post(f"/v2/repository/models/nothing/{call}", headers=ADMIN)
            assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
