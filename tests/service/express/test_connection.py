"""The express lane over a socket: it answers as the long way does, and what is not plain takes the long way."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.engine.plan import Array
from service.settings import Settings
from tests.service.drawings import png
from tests.service.express.conftest import Running, listening, read_answer, request
from tests.service.plans import CPU_RUN, CpuPlan
from tests.service.test_predictions import Gate, gate

__all__ = ["gate"]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_it_answers_as_the_long_way_does(settings: Settings) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            short = await running.ask("?top_k=3", None, "X-Request-ID: mine")
            long = await running.ask("?top_k=3", None, "X-Request-ID: mine", "Cookie: a=b")
            assert running.taken == [True]
            assert short.status == long.status == 200
            assert short.json | {"timing_ms": 0} == long.json | {"timing_ms": 0}
            assert short.json["timing_ms"].keys() == long.json["timing_ms"].keys()
            assert short.headers.keys() == long.headers.keys()
            assert short.headers["x-request-id"] == "mine"
            assert short.headers["date"] == "today"
            assert 'csrve_requests_total{outcome="ok",protocol="image"} 2.0' in running.metrics()
            assert 'csrve_request_duration_seconds_count{model="colour",version="2"} 2.0' in running.metrics()
            assert (running.parts.predictor.in_flight, running.state.total_requests) == (0, 2)

    run(main())


def test_a_head_may_come_before_its_body_and_a_body_in_parts(settings: Settings) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            reader, writer = await running.connect()
            whole = request()
            for first, last in ((0, len(whole) - len(png())), (len(whole) - len(png()), -9), (-9, len(whole))):
                writer.write(whole[first:last])
                await asyncio.sleep(0.02)
            assert (await read_answer(reader)).status == 200
            assert running.taken == [True]

    run(main())


def test_a_body_that_takes_its_time_goes_the_long_way_whose_deadline_it_has(settings: Settings) -> None:
    async def main() -> None:
        async with listening(replace(settings, upload_timeout_s=0.4)) as running:
            reader, writer = await running.connect()
            whole = request()
            writer.write(whole[:-5])
            await asyncio.sleep(0.25)
            writer.write(whole[-5:])
            assert (await read_answer(reader)).status == 200
            writer.write(whole[:-5])
            assert (await read_answer(reader)).status == 408
            assert running.taken == []

    run(main())


def test_requests_that_follow_at_once_are_answered_in_order(settings: Settings) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            reader, writer = await running.connect()
            for number in range(6):  # the later ones come while the first is answered
                writer.write(request("", None, f"X-Request-ID: {number}"))
                await writer.drain()
                await asyncio.sleep(0)
            for number in range(6):
                assert (await read_answer(reader)).headers["x-request-id"] == str(number)
            writer.write(b"".join(request("", None, f"X-Request-ID: {number}") for number in range(3)))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            for number in range(3):
                assert (await read_answer(reader)).headers["x-request-id"] == str(number)
            assert (await read_answer(reader)).json == {"status": "ok"}

    run(main())


def test_what_comes_behind_a_held_request_is_read_no_further_than_a_bound(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            reader, writer = await running.connect()
            writer.write(request())
            await until(gate.entered.is_set)
            writer.write(400 * request())
            await asyncio.sleep(0.2)
            (connection,) = running.connections
            assert len(connection._held) < 400_000
            gate.open.set()
            for _ in range(401):
                assert (await read_answer(reader)).status == 200

    run(main())


def test_a_client_that_leaves_frees_its_place(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            clients = [await running.connect() for _ in range(4)]
            for _, writer in clients:
                writer.write(request())
            await until(lambda: running.parts.predictor.in_flight == 4 and gate.entered.is_set())
            for _, writer in clients:
                writer.transport.abort()
            await until(lambda: running.parts.predictor.in_flight == 0)
            assert running.parts.queue.depth == 0
            gate.open.set()
            assert (await running.ask()).status == 200
            assert 'csrve_requests_total{outcome="abandoned",protocol="image"} 4.0' in running.metrics()

    run(main())


def test_more_than_there_is_room_for_is_refused_before_it_costs_anything(
    settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with listening(replace(settings, queue_limit=1)) as running:
            waiting = [asyncio.create_task(running.ask())]
            await until(gate.entered.is_set)
            waiting.append(asyncio.create_task(running.ask()))
            await until(lambda: running.parts.queue.depth == 1)
            monkeypatch.setattr("service.express.answering.read_picture", lambda *_: pytest.fail("decoded"))
            refused = await running.ask("", None, "X-Request-ID: mine")
            assert (refused.status, refused.json["code"]) == (503, "overloaded")
            assert (refused.headers["retry-after"], refused.json["request_id"]) == ("1", "mine")
            assert refused.headers["content-type"] == "application/problem+json"
            gate.open.set()
            assert [(await each).status for each in waiting] == [200, 200]
            assert 'csrve_requests_rejected_total{reason="overloaded"} 1.0' in running.metrics()
            assert running.parts.predictor.in_flight == 0

    run(main())


def test_refusals_beyond_the_pace_wait_for_their_turn_and_take_no_ones_place(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with listening(replace(settings, queue_limit=1, request_limit=8, refusals_per_s=1)) as running:
            accepted = [asyncio.create_task(running.ask())]
            await until(gate.entered.is_set)
            accepted.append(asyncio.create_task(running.ask()))
            await until(lambda: running.parts.queue.depth == 1)
            refused = [asyncio.create_task(running.ask()) for _ in range(5)]
            await until(lambda: running.parts.refusals.waiting >= 4)
            assert running.parts.predictor.in_flight == 2
            gate.open.set()
            assert [(await each).status for each in accepted] == [200, 200]
            assert [(await each).status for each in refused] == [503] * 5
            assert 'csrve_requests_rejected_total{reason="overloaded"} 5.0' in running.metrics()

    run(main())


def test_a_house_that_is_full_refuses(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with listening(replace(settings, request_limit=1)) as running:
            first = asyncio.create_task(running.ask())
            await until(gate.entered.is_set)
            assert (await running.ask()).status == 503
            gate.open.set()
            assert (await first).status == 200

    run(main())


def test_an_answer_that_takes_too_long_is_504(settings: Settings, gate: Gate) -> None:
    async def main() -> None:
        async with listening(replace(settings, deadline_s=0.05)) as running:
            late = await running.ask()
            assert (late.status, late.json["code"]) == (504, "deadline_passed")
            gate.open.set()
            await asyncio.sleep(0.05)
            assert running.parts.predictor.in_flight == 0

    run(main())


def test_a_picture_that_the_engine_fails_on_is_500(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(CpuPlan, CPU_RUN)

    def fail(plan: CpuPlan, batch: Array) -> Array:
        return np.full_like(original(plan, batch), np.nan)

    async def main() -> None:
        async with listening(settings) as running:
            monkeypatch.setattr(CpuPlan, CPU_RUN, fail)
            failed = await running.ask()
            assert (failed.status, failed.json["code"]) == (500, "inference_failed")
            assert running.taken == [True]

    run(main())


def test_what_nobody_foresaw_gives_everything_back_and_the_long_way_tells(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> Array:
        raise AttributeError("unforeseen")

    async def main() -> None:
        async with listening(replace(settings, request_limit=2)) as running:
            with monkeypatch.context() as patch:
                patch.setattr("service.express.answering.read_picture", fail)
                patch.setattr("service.predictions.read_picture", fail)
                for _ in range(4):
                    failed = await running.ask()
                    assert (failed.status, failed.json["code"]) == (500, "internal_error")
            assert running.taken == [False] * 4
            assert running.parts.predictor.in_flight == 0
            assert running.parts.models._residency._users == {}
            assert (await running.ask()).status == 200

    run(main())


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [("", png()[:60], 400), ("", b"no picture at all", 415), ("?model=none", png(), 404), ("?version=9", png(), 404)],
)
def test_the_long_way_says_what_is_wrong(settings: Settings, query: str, body: bytes, status: int) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            answer = await running.ask(query, body)
            assert (answer.status, running.taken) == (status, [False])
            assert running.parts.predictor.in_flight == 0
            assert running.metrics().count(f'outcome="rejected",protocol="image"}} {1.0}') == 1
            assert_released(running)

    run(main())


def assert_released(running: Running) -> None:
    """Nobody holds a model any more."""
    assert running.parts.models._residency._users == {}


def test_a_model_that_is_not_in_memory_is_loaded_by_the_long_way(settings: Settings) -> None:
    async def main() -> None:
        async with listening(replace(settings, preload="none")) as running:
            assert (await running.ask()).status == 200
            assert (await running.ask()).status == 200
            assert running.taken == [False, True]
            assert_released(running)

    run(main())


def test_canaries_and_shadows_see_their_share(settings: Settings) -> None:
    async def main() -> None:
        async with listening(replace(settings, canary="colour=colour:1@1")) as running:
            assert (await running.ask()).json["version"] == 1
            assert (await running.ask("?version=2")).json["version"] == 2
            assert running.taken == [False, True]

    run(main())


def test_who_asks_while_the_service_stops_is_refused(settings: Settings) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            running.parts.lifecycle.stopping = True
            refused = await running.ask()
            assert (refused.status, refused.json["code"], running.taken) == (503, "draining", [False])

    run(main())


def test_an_answer_that_is_being_made_is_the_connections_last_when_the_server_stops(
    settings: Settings, gate: Gate
) -> None:
    async def main() -> None:
        async with listening(settings) as running:
            reader, writer = await running.connect()
            writer.write(request())
            await until(gate.entered.is_set)
            (connection,) = running.connections
            connection.shutdown()
            gate.open.set()
            answer = await read_answer(reader)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await reader.read() == b""

    run(main())


def test_an_idle_connection_is_closed(settings: Settings) -> None:
    async def main() -> None:
        async with listening(settings, keep_alive_s=0) as running:
            reader, writer = await running.connect()
            writer.write(request())
            assert (await read_answer(reader)).status == 200
            assert await asyncio.wait_for(reader.read(), 5) == b""
            assert running.taken == [True]

    run(main())


def test_spans_are_of_the_long_way_only(tmp_path: Path) -> None:
    from service.express.connection import with_express

    assert with_express(None).express is None
