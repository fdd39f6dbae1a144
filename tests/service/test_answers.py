"""Canaries answer, and shadows see, requests of every protocol: forms, JSON, and the Open Inference Protocol."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from model_store.references import Selector
from service.app import build_app
from service.models import LoadedModel, Models
from service.settings import Settings
from tests.service.drawings import form, png
from tests.service.test_comparisons import comparing, results, value

__all__ = ["comparing"]

Ask = Callable[[TestClient], dict[str, Any]]


def several(client: TestClient) -> dict[str, Any]:
    content = {"instances": [{"b64": base64.b64encode(png()).decode()}] * 3}
    return dict(client.post("/predict", json=content).json())


def formed(client: TestClient) -> dict[str, Any]:
    body, headers = form({"file": png()})
    return dict(client.post("/predict", content=body, headers=headers).json())


def asked(client: TestClient, tensor: dict[str, Any], version: str = "") -> dict[str, Any]:
    return dict(client.post(f"/v2/models/small{version}/infer", content=json.dumps({"inputs": [tensor]})).json())


def images(client: TestClient) -> dict[str, Any]:
    pictures = np.frombuffer(png(), np.uint8)
    size = len(pictures).to_bytes(4, "little")
    parameters = {"binary_data_size": 2 * (4 + len(pictures))}
    head = {"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "parameters": parameters}]}
    start = json.dumps(head).encode()
    body = start + 2 * (size + pictures.tobytes())
    headers = {"Inference-Header-Content-Length": str(len(start))}
    return dict(client.post("/v2/models/small/infer", content=body, headers=headers).json())


def normalised(client: TestClient) -> dict[str, Any]:
    return asked(client, {"name": "input", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.0] * 192})


def name_of(answer: dict[str, Any]) -> str:
    return str(answer.get("model") or answer["model_name"])


def settle(app: FastAPI, count: int) -> None:
    until_s = time.monotonic() + 20
    while sum(results(app).values()) < count:
        assert time.monotonic() < until_s
        time.sleep(0.005)


@pytest.mark.parametrize(("ask", "pictures"), [(several, 3), (formed, 1), (images, 2), (normalised, 1)])
def test_a_canary_answers_and_the_primary_is_shown_every_picture(comparing: Settings, ask: Ask, pictures: int) -> None:
    app = build_app(replace(comparing, canary="small=large@1"))
    with TestClient(app) as client:
        assert name_of(ask(client)) == "large"
        settle(app, pictures)
    assert results(app) == {"disagree": pictures}


@pytest.mark.parametrize(("ask", "pictures"), [(several, 3), (formed, 1), (images, 2), (normalised, 1)])
def test_a_shadow_sees_every_picture_and_answers_nobody(comparing: Settings, ask: Ask, pictures: int) -> None:
    app = build_app(replace(comparing, shadow="small=large:1@1"))
    with TestClient(app) as client:
        assert name_of(ask(client)) == "small"
        settle(app, pictures)
    assert results(app) == {"agree": pictures}


def test_who_names_a_version_over_the_protocol_gets_it(comparing: Settings) -> None:
    tensor = {"name": "input", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.0] * 192}
    with TestClient(build_app(replace(comparing, canary="small=large@1"))) as client:
        assert name_of(asked(client, tensor, "/versions/1")) == "small"


def test_a_tensor_that_only_the_model_asked_for_can_read_is_answered_by_it(comparing: Settings) -> None:
    app = build_app(replace(comparing, canary="small=other@1"))
    with TestClient(app) as client:
        assert name_of(normalised(client)) == "small"
        assert name_of(images(client)) == "other"  # encoded pictures any model can read
    assert value(app, "csrve_canary_fallbacks_total{") == 1


def test_what_a_canary_could_not_answer_the_shadow_sees(comparing: Settings) -> None:
    app = build_app(replace(comparing, canary="small=other@1", shadow="small=large:1@1"))
    with TestClient(app) as client:
        assert name_of(normalised(client)) == "small"
        settle(app, 1)
    assert value(app, "csrve_canary_fallbacks_total{") == 1
    assert results(app) == {"agree": 1}


def test_a_candidate_that_takes_too_long_falls_back_in_time(
    comparing: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = build_app(replace(comparing, canary="small=large@1", deadline_s=2.0))
    find, asked_for = Models.find, []

    async def hanging(models: Models, name: str, selector: Selector = None) -> LoadedModel:
        asked_for.append(name)
        if name == "large":
            await asyncio.sleep(60)
        return await find(models, name, selector)

    with TestClient(app) as client:
        monkeypatch.setattr(Models, "find", hanging)
        assert name_of(formed(client)) == "small"
    assert asked_for == ["", "large"], "the default, which is small"
    assert value(app, "csrve_canary_fallbacks_total{") == 1


def test_a_shadow_that_cannot_read_the_tensor_is_counted_as_failed(comparing: Settings) -> None:
    app = build_app(replace(comparing, shadow="small=other@1"))
    with TestClient(app) as client:
        assert name_of(normalised(client)) == "small"
        settle(app, 1)
    assert results(app) == {"failed": 1}


def test_a_tensor_of_the_wrong_shape_is_the_clients_fault(comparing: Settings, tmp_path: Path) -> None:
    app = build_app(replace(comparing, canary="small=large@1"))
    with TestClient(app) as client:
        tensor = {"name": "input", "shape": [1, 3, 8, 7], "datatype": "FP32", "data": [0.0] * 168}
        assert "must be [n, 3, 8, 8]" in asked(client, tensor)["error"]
    assert value(app, "csrve_canary_fallbacks_total{") == 0
