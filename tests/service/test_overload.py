"""V8: more than the engine can do."""

import asyncio
import threading
from collections import Counter
from dataclasses import replace

import pytest

from service.app import build_app
from service.engine.plan import Array
from service.settings import Settings
from tests.service.asgi import body_of, parts_of, post
from tests.service.plans import CPU_RUN, CpuPlan


def test_v8_ten_times_what_the_engine_can_do_keeps_it_busy_with_full_batches_and_the_rest_is_told_when_to_come_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    original = getattr(CpuPlan, CPU_RUN)

    def slow(plan: CpuPlan, batch: Array) -> Array:
        if threading.current_thread().name.startswith("csrve-engine"):
            batches.append(len(batch))
            threading.Event().wait(0.05)
        return original(plan, batch)

    async def ask() -> None:
        sent = await post(app)
        status = sent[0]["status"]
        statuses[status] += 1
        depths.append(parts_of(app).queue.depth)
        if status == 503:
            assert body_of(sent)["code"] == "overloaded"
            assert 1 <= int(dict(sent[0]["headers"])[b"retry-after"]) <= 60

    async def main() -> None:
        async with app.router.lifespan_context(app):
            tasks = []
            for _ in range(30):  # 40 every 50 ms, of which the engine takes 4
                tasks += [asyncio.create_task(ask()) for _ in range(40)]
                await asyncio.sleep(0.05)
            await asyncio.gather(*tasks)
            assert parts_of(app).predictor.in_flight == 0
            statuses.clear()
            await ask()
            assert statuses == {200: 1}

    monkeypatch.setattr(CpuPlan, CPU_RUN, slow)
    statuses: Counter[int] = Counter()
    depths: list[int] = []
    app = build_app(replace(settings, max_batch=4, queue_limit=16, request_limit=64))
    asyncio.run(asyncio.wait_for(main(), 60))
    assert max(depths) <= 16
    assert sum(size == 4 for size in batches) >= 0.8 * len(batches) > 16
