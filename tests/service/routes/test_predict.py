import base64
import json

import pytest
from starlette.testclient import TestClient

from tests.service.drawings import blank_png, draw, encode, form, form_of_files, png

PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}


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


def as_json(*pictures: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(picture).decode()} for picture in pictures]}).encode()


def test_several_files_are_classified_in_their_order(steady_client: TestClient) -> None:
    pictures = [png(), encode(draw(9, 30), "JPEG"), png(60, 8)]
    alone = [steady_client.post("/predict?top_k=3", content=picture, headers=PNG).json() for picture in pictures]
    body, headers = form_of_files(pictures)
    for content, kind in ((body, headers), (as_json(*pictures), JSON)):
        answer = steady_client.post("/predict?top_k=3", content=content, headers=kind).json()
        assert list(answer) == ["model", "version", "predictions", "timing_ms"]
        assert (answer["model"], answer["version"]) == ("colour", 2)
        assert [found["label"] for found in answer["predictions"]] == [found["label"] for found in alone]
        for found, single in zip(answer["predictions"], alone, strict=True):
            assert [candidate["label"] for candidate in found["top"]] == [one["label"] for one in single["top"]]
            assert found["probability"] == pytest.approx(single["probability"], rel=1e-5)  # other batch, other rounding


def test_one_picture_in_json_gets_the_answer_of_a_raw_body(steady_client: TestClient) -> None:
    raw = steady_client.post("/predict?model=grey", content=png(), headers=PNG).json()
    content = json.dumps({"image": base64.b64encode(png()).decode()})
    answer = steady_client.post("/predict?model=grey", content=content, headers=JSON).json()
    assert {**answer, "timing_ms": None} == {**raw, "timing_ms": None}
    assert list(answer) == list(raw)


def test_a_list_of_one_is_answered_with_a_list(steady_client: TestClient) -> None:
    answer = steady_client.post("/predict", content=as_json(png()), headers=JSON).json()
    assert len(answer["predictions"]) == 1


def test_a_damaged_picture_among_several_is_named(steady_client: TestClient) -> None:
    answer = steady_client.post("/predict", content=as_json(png(), png()[:100]), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "undecodable_picture")
    assert answer.json()["detail"] == "pictures[1]: The picture is damaged or cut short."


def test_as_many_pictures_as_a_batch_and_no_more(steady_client: TestClient) -> None:
    assert steady_client.post("/predict", content=as_json(*[png()] * 16), headers=JSON).status_code == 200
    answer = steady_client.post("/predict", content=as_json(*[png()] * 17), headers=JSON)
    assert answer.json()["detail"] == "instances: must be a list of 1..16 pictures"


def test_several_pictures_are_counted_as_one_prediction(client: TestClient) -> None:
    client.post("/predict", content=as_json(png(), png()), headers=JSON)
    lines = client.get("/metrics").text.splitlines()
    assert 'csrve_requests_total{outcome="ok",protocol="image"} 1.0' in lines
    assert 'csrve_batch_size_sum{model="colour",version="2"} 2.0' in lines
    assert 'csrve_inference_duration_seconds_count{model="colour",version="2"} 1.0' in lines
    assert "csrve_requests_in_flight 0.0" in lines


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
    ("", b'{"image": "PGh0bWw+"}', JSON, 415, "unsupported_media_type"),
    ("", b'{"image": 1}', JSON, 400, "invalid_upload"),
    ("", b"[" * 100_000, JSON, 400, "invalid_upload"),
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
