import pytest
from starlette.testclient import TestClient

from tests.service.drawings import blank_png, draw, encode, form, png

PNG = {"Content-Type": "image/png"}


def test_a_raw_picture_is_classified(steady_client: TestClient) -> None:
    answer = steady_client.post("/predict", content=png(), headers=PNG)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"], len(body["top"])) == ("colour", 2, 4)
    assert body["top"][0] == {"label": body["label"], "probability": body["probability"]}
    probabilities = [candidate["probability"] for candidate in body["top"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    assert {candidate["label"] for candidate in body["top"]} == {f"class {index}" for index in range(4)}


def test_a_form_and_a_raw_body_get_the_same_answer(steady_client: TestClient) -> None:
    body, headers = form({"file": png()})
    raw, formed = (
        steady_client.post("/predict", content=png(), headers=PNG),
        steady_client.post("/predict", content=body, headers=headers),
    )
    assert raw.json()["top"] == formed.json()["top"]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_every_format_is_classified(steady_client: TestClient, kind: str) -> None:
    content = encode(draw(), kind.upper())
    assert steady_client.post("/predict", content=content, headers={"Content-Type": f"image/{kind}"}).status_code == 200


def test_the_content_counts_not_the_declared_type(steady_client: TestClient) -> None:
    assert steady_client.post("/predict", content=png(), headers={"Content-Type": "image/jpeg"}).status_code == 200


def test_model_version_and_top_k_are_as_asked(steady_client: TestClient) -> None:
    body = steady_client.post("/predict?model=grey&version=1&top_k=2", content=png(), headers=PNG).json()
    assert (body["model"], body["version"], len(body["top"])) == ("grey", 1, 2)
    body = steady_client.post("/predict?version=1&top_k=1000", content=png(), headers=PNG).json()
    assert (body["model"], body["version"], len(body["top"])) == ("colour", 1, 4)


def test_the_stages_add_up_to_the_total(steady_client: TestClient) -> None:
    steady_client.post("/predict", content=png(), headers=PNG)
    timing = steady_client.post("/predict", content=png(400, 300), headers=PNG).json()["timing_ms"]
    stages = [timing[stage] for stage in ("read", "decode", "queue", "inference")]
    assert min(stages) >= 0
    assert sum(stages) <= timing["total"] + 0.01


ERRORS = [
    ("", b"", PNG, 400, "invalid_upload"),
    ("", b"<html>", PNG, 415, "unsupported_media_type"),
    ("", encode(draw(), "GIF"), PNG, 415, "unsupported_media_type"),
    ("", png()[:100], PNG, 400, "undecodable_picture"),
    ("", png(), {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("", png(), {**PNG, "Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
    ("", b"x" * ((8 << 20) + 1), PNG, 413, "body_too_large"),
    ("", blank_png(2048, 2049), PNG, 413, "too_many_pixels"),
    ("?model=nothing", png(), PNG, 404, "model_not_found"),
    ("?model=../colour", png(), PNG, 404, "model_not_found"),
    ("?version=77", png(), PNG, 404, "model_not_found"),
    ("?version=0", png(), PNG, 422, "invalid_query"),
    ("?version=x", png(), PNG, 404, "model_not_found"),
    ("?version=X", png(), PNG, 422, "invalid_query"),
    ("?version=1000000000", png(), PNG, 422, "invalid_query"),
    ("?top_k=0", png(), PNG, 422, "invalid_query"),
    ("?top_k=1001", png(), PNG, 422, "invalid_query"),
    ("?model=" + "x" * 65, png(), PNG, 422, "invalid_query"),
    ("", b"x", {"Content-Type": "multipart/form-data"}, 400, "invalid_upload"),
]


@pytest.mark.parametrize(("query", "content", "headers", "status", "code"), ERRORS, ids=range(len(ERRORS)))
def test_a_bad_request_gets_its_problem(
    steady_client: TestClient, query: str, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = steady_client.post(f"/predict{query}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert steady_client.post("/predict", content=png(), headers=PNG).status_code == 200


def test_a_chunked_body_over_the_limit_is_refused(steady_client: TestClient) -> None:
    answer = steady_client.post("/predict", content=(b"x" * 65_536 for _ in range(129)), headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_predictions_are_counted_and_timed(client: TestClient) -> None:
    for content in (png(), png(), b"<html>"):
        client.post("/predict", content=content, headers=PNG)
    client.get("/predict")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'csrve_requests_total{outcome="ok",protocol="image"} 2.0',
        'csrve_requests_total{outcome="rejected",protocol="image"} 1.0',
        'csrve_requests_rejected_total{reason="unsupported_media_type"} 1.0',
        'csrve_preprocess_duration_seconds_count{model="colour",version="2"} 2.0',
        'csrve_request_duration_seconds_count{model="colour",version="2"} 2.0',
        'csrve_batch_size_sum{model="colour",version="2"} 2.0',
        "csrve_queue_depth 0.0",
        "csrve_requests_in_flight 0.0",
    ):
        assert line in lines
