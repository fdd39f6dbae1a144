"""Ray's header as the model of a request."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.ray_model_choice import HEADER, ModelChoice
from service.settings import Settings
from tests.service.drawings import png


@pytest.mark.parametrize(
    ("query", "header", "answered"),
    [("", "grey", "grey"), ("?top_k=1", "grey", "grey"), ("?model=colour", "grey", "colour"), ("", "", "colour")],
)
def test_the_header_is_the_model_where_the_address_names_none(
    published: Path, query: str, header: str, answered: str
) -> None:
    noted: list[str] = []

    async def note(name: str) -> None:
        noted.append(name)

    app = build_app(Settings(store=published, default_model="colour", threads=1, log_level="error"))
    app.add_middleware(ModelChoice, note=note)
    with TestClient(app) as client:
        headers = {"content-type": "image/png", HEADER: header}
        answer = client.post(f"/predict{query}", content=png(), headers=headers)
    assert (answer.status_code, answer.json()["model"]) == (200, answered)
    assert noted == ([header] if header else [])
