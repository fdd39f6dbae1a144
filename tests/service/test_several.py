import asyncio
import json
from base64 import b64encode
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.settings import Settings
from tests.service.asgi import parts_of
from tests.service.drawings import form_of_files, png
from tests.service.test_predictions import Gate, gate

__all__ = ["gate"]

FORM = form_of_files([png(), png()])
DOCUMENT = (
    json.dumps({"instances": [{"b64": b64encode(png()).decode()}]}).encode(),
    {"Content-Type": "application/json"},
)


@pytest.mark.parametrize(("content", "headers"), [FORM, DOCUMENT], ids=["form", "JSON"])
def test_a_version_that_answers_makes_no_room_for_another(
    settings: Settings, gate: Gate, content: bytes, headers: dict[str, str]
) -> None:
    app = build_app(replace(settings, preload="none"))
    with TestClient(app) as client:
        model = client.portal.call(parts_of(app).models.find, "colour", None)  # type: ignore[union-attr]
        gate.open.clear()

        async def ask_and_look() -> int:
            asked = asyncio.create_task(asyncio.to_thread(client.post, "/predict", content=content, headers=headers))
            await asyncio.to_thread(gate.entered.wait, 20)
            used = model in parts_of(app).models._residency._users
            gate.open.set()
            assert (await asked).status_code == 200
            return used

        assert asyncio.run(ask_and_look())
