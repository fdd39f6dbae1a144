"""What becomes of a prediction when time, room or the client runs out."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.engine.plan import Array
from service.settings import Settings
from tests.service.asgi import body_of, parts_of, post
from tests.service.drawings import png
from tests.service.plans import CPU_RUN, CpuPlan

PNG = {"Content-Type": "image/png"}


class Gate:
    """Holds every run of a batch until it is opened; not the run that warms a plan up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        original = getattr(CpuPlan, CPU_RUN)

        def run(plan: CpuPlan, batch: Array) -> Array:
            if threading.current_thread().name.startswith("csrve-engine"):
                self.entered.set()
                assert self.open.wait(20)
            return original(plan, batch)

        monkeypatch.setattr(CpuPlan, CPU_RUN, run)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


def test_a_client_that_vanishes_frees_its_place(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with app.router.lifespan_context(app):
            leaves = asyncio.Event()
            tasks = [asyncio.create_task(post(app, leaves)) for _ in range(5)]
            while not gate.entered.is_set() or parts_of(app).predictor.in_flight < 5:
                await asyncio.sleep(0.005)
            leaves.set()
            assert await asyncio.gather(*tasks) == [[]] * 5
            assert (parts_of(app).queue.depth, parts_of(app).predictor.in_flight) == (0, 0)
            gate.open.set()
            answer = await post(app)
            assert answer[0]["status"] == 200

    app = build_app(settings)
    asyncio.run(asyncio.wait_for(main(), 60))
    text = parts_of(app).metrics.render("")[0].decode()
    assert 'csrve_requests_total{outcome="abandoned",protocol="image"} 5.0' in text
    assert 'csrve_requests_total{outcome="ok",protocol="image"} 1.0' in text


def test_a_deadline_that_passes_is_504(settings: Settings, gate: Gate) -> None:
    with TestClient(build_app(replace(settings, deadline_s=0.05))) as client:
        answer = client.post("/predict", content=png(), headers=PNG)
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
        assert answer.json()["detail"] == "The answer was not ready within 0.05 s."
        gate.open.set()


def test_more_than_the_queue_holds_is_503_and_the_rest_is_answered(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with app.router.lifespan_context(app):
            first = asyncio.create_task(post(app))
            while not gate.entered.is_set():
                await asyncio.sleep(0.005)
            others = [asyncio.create_task(post(app)) for _ in range(10)]
            while sum(task.done() for task in others) < 8:
                await asyncio.sleep(0.005)
            gate.open.set()
            answers = await asyncio.gather(first, *others)
            statuses = sorted(answer[0]["status"] for answer in answers)
            assert statuses == [200] * 3 + [503] * 8
            refused = next(answer for answer in answers if answer[0]["status"] == 503)
            assert (b"retry-after", b"1") in refused[0]["headers"]

    app = build_app(replace(settings, queue_limit=2))
    asyncio.run(asyncio.wait_for(main(), 60))


def test_refusals_beyond_the_pace_wait_and_hold_no_place(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with app.router.lifespan_context(app):
            parts = parts_of(app)
            answered = [asyncio.create_task(post(app))]
            while not gate.entered.is_set():
                await asyncio.sleep(0.005)
            answered.append(asyncio.create_task(post(app)))
            while parts.queue.depth < 1:
                await asyncio.sleep(0.005)
            refused = [asyncio.create_task(post(app)) for _ in range(6)]
            while parts.refusals.waiting < 5:
                await asyncio.sleep(0.005)
            assert parts.predictor.in_flight == 2
            gate.open.set()
            assert [(await each)[0]["status"] for each in answered] == [200] * 2
            assert [(await each)[0]["status"] for each in refused] == [503] * 6

    app = build_app(replace(settings, queue_limit=1, refusals_per_s=1))
    asyncio.run(asyncio.wait_for(main(), 60))


def test_more_than_the_house_holds_is_503_before_the_body_is_read(settings: Settings) -> None:
    app = build_app(replace(settings, request_limit=1))
    with TestClient(app) as client:
        assert client.post("/predict", content=png(), headers=PNG).status_code == 200
        parts_of(app).predictor.in_flight = 1
        assert client.post("/predict", content=png(), headers=PNG).json()["code"] == "overloaded"
        assert client.get("/models").status_code == 200


def test_a_slow_stage_lands_in_its_own_bucket(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = getattr(CpuPlan, CPU_RUN)

    def slow(plan: CpuPlan, batch: Array) -> Array:
        threading.Event().wait(0.3)
        return original(plan, batch)

    monkeypatch.setattr(CpuPlan, CPU_RUN, slow)
    with TestClient(build_app(settings)) as client:
        timing = client.post("/predict", content=png(), headers=PNG).json()["timing_ms"]
        lines = client.get("/metrics").text.splitlines()
    assert timing["inference"] >= 300
    assert 'csrve_inference_duration_seconds_bucket{le="0.25",model="colour",version="2"} 0.0' in lines
    stages = sum(timing[stage] for stage in ("read", "decode", "queue", "inference"))
    assert stages == pytest.approx(timing["total"], rel=0.2)


def test_the_answer_is_that_of_the_engine_alone(settings: Settings) -> None:
    from service.pictures import read_picture

    app = build_app(settings)
    with TestClient(app) as client:
        body = client.post("/predict", content=png(), headers=PNG).json()
        model = asyncio.run(parts_of(app).models.find("colour", None))
    logits = model.plan.run(read_picture(png(), model.preprocessing, settings.max_pixels)[None])[0]
    assert body["label"] == model.class_names[int(logits.argmax())]


def test_a_picture_that_finds_the_queue_full_is_refused_before_it_is_decoded(
    settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with app.router.lifespan_context(app):
            tasks = [asyncio.create_task(post(app))]
            while not gate.entered.is_set():
                await asyncio.sleep(0.005)
            tasks.append(asyncio.create_task(post(app)))
            while parts_of(app).queue.depth < 1:
                await asyncio.sleep(0.005)
            monkeypatch.setattr("service.predictions.read_picture", lambda *arguments: 1 / 0)
            assert body_of(await post(app))["detail"] == "Too many pictures are waiting already."
            gate.open.set()
            assert [answer[0]["status"] for answer in await asyncio.gather(*tasks)] == [200, 200]

    app = build_app(replace(settings, queue_limit=1))
    asyncio.run(asyncio.wait_for(main(), 60))
