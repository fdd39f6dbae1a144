import asyncio
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from service.app import build_app
from service.bodies import BodyLimits, limited
from service.errors import BodyTooLarge, UploadTooSlow
from service.settings import Settings


def messages(*bodies: bytes) -> Iterator[Message]:
    yield from ({"type": "http.request", "body": body, "more_body": True} for body in bodies)
    yield {"type": "http.request", "body": b"", "more_body": False}
    yield {"type": "http.disconnect"}


def test_once_the_body_is_there_waiting_takes_as_long_as_it_takes() -> None:
    async def main() -> None:
        waiting = messages(b"ab")

        async def receive() -> Message:
            message = next(waiting)
            if message["type"] == "http.disconnect":
                await asyncio.sleep(0.05)
            return message

        bounded = limited(receive, Headers(), 10, 0.02)
        kinds = [(await bounded())["type"] for _ in range(3)]
        assert kinds == ["http.request", "http.request", "http.disconnect"]

    asyncio.run(main())


def test_the_clock_is_for_the_whole_body_and_not_for_each_piece() -> None:
    async def main() -> None:
        async def receive() -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b"x", "more_body": True}

        bounded = limited(receive, Headers(), 10**9, 0.1)

        async def read() -> None:
            for _ in range(1000):
                await bounded()

        with pytest.raises(UploadTooSlow) as caught:
            await read()
        assert str(caught.value) == "The body took longer than 0.1 s."

    asyncio.run(main())


@pytest.mark.parametrize("declared", ["11", "9" * 99])
def test_what_declares_too_much_is_refused_unread(declared: str) -> None:
    async def main() -> None:
        async def receive() -> Message:
            raise AssertionError("read")

        with pytest.raises(BodyTooLarge) as caught:
            await limited(receive, Headers({"content-length": declared}), 10, 1.0)()
        assert str(caught.value) == "The body is too large, must be at most 10 bytes."

    asyncio.run(main())


def test_any_route_that_reads_a_body_is_bounded(settings: Settings) -> None:
    app: FastAPI = build_app(settings)

    @app.post("/any")
    async def any_route(request: Request) -> int:
        return len(await request.body())

    with TestClient(app) as client:
        assert client.post("/any", content=b"x" * settings.max_body_bytes).json() == settings.max_body_bytes
        answer = client.post("/any", content=b"x" * (settings.max_body_bytes + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        chunked = client.post("/any", content=(b"x" * 65_536 for _ in range(129)))
        assert (chunked.status_code, chunked.json()["code"]) == (413, "body_too_large")


def test_what_is_no_request_passes() -> None:
    async def main() -> None:
        async def app(scope: object, receive: object, send: object) -> None:
            assert (scope, receive) == ({"type": "lifespan"}, None)

        await BodyLimits(app, 1, 1.0)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]

    asyncio.run(main())
