"""The short way and FastAPI's answer alike; what is not plain takes the latter."""

import pytest
from starlette.testclient import TestClient

from service.errors import InvalidQuery
from service.predictions import Query
from service.routes.lean import plain_query
from tests.service.drawings import form, png


def test_a_plain_query_is_read_as_fastapi_would() -> None:
    assert plain_query(b"") == Query("", None, 5)
    assert plain_query(b"model=grey&version=1&top_k=1000") == Query("grey", 1, 1000)
    assert plain_query(b"top_k=7&version=stable") == Query("", "stable", 7)


@pytest.mark.parametrize(
    "query",
    ["top_k=0", "top_k=1001", "top_k=+5", "top_k=5.0", "top_k=", "top_k=1&top_k=2", "other=1", f"model={65 * 'm'}"],
)
def test_whatever_is_not_plain_is_left_to_fastapi(query: str) -> None:
    assert plain_query(query.encode()) is None


def test_a_version_that_can_be_none_is_refused() -> None:
    with pytest.raises(InvalidQuery):
        plain_query(b"version=-1")


def test_both_ways_answer_alike(steady_client: TestClient) -> None:
    raw = steady_client.post("/predict?top_k=3", content=png(), headers={"Content-Type": "image/png"})
    body, headers = form({"file": png()})
    formed = steady_client.post("/predict?top_k=3", content=body, headers=headers)
    unknown = steady_client.post("/predict?top_k=3&other=1", content=png(), headers={"Content-Type": "image/png"})
    for other in (formed, unknown):
        assert list(raw.json()) == list(other.json())
        assert raw.json()["top"] == other.json()["top"]
        assert raw.headers.keys() == other.headers.keys()
        assert raw.headers["content-type"] == other.headers["content-type"] == "application/json"
