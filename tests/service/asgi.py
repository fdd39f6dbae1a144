"""A request straight through ASGI, with no server and no thread between, so that a test decides what comes when."""

import asyncio
import json
from typing import Any

from fastapi import FastAPI
from starlette.types import Message

from service.state import Application
from tests.service.drawings import png


def parts_of(app: FastAPI) -> Application:
    parts: Application = app.state.application
    return parts


async def post(
    app: FastAPI,
    leaves: "asyncio.Event | None" = None,
    query: str = "",
    content: bytes | None = None,
    request_id: str = "",
) -> list[Message]:
    """One POST /predict; the client leaves when `leaves` is set. Returns what the application sent."""
    messages: list[Message] = [
        {"type": "http.request", "body": png() if content is None else content, "more_body": False}
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await (leaves.wait() if leaves else asyncio.sleep(60))
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": query.encode(),
        "headers": [(b"content-type", b"image/png"), (b"x-request-id", request_id.encode())],
        "app": app,
    }
    await app(scope, receive, send)
    return sent


def body_of(sent: list[Message]) -> dict[str, Any]:
    """The JSON of an answer."""
    body: dict[str, Any] = json.loads(b"".join(message.get("body", b"") for message in sent))
    return body
