"""A server in the test's own process and loop, whose engine can be held and whose connections can be looked at."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from service.app import build_app, count_by_outcome
from service.express.answering import Answering, Express
from service.express.connection import ExpressProtocol, with_express
from service.settings import Settings
from service.state import Application
from tests.service.drawings import png


class Watched(Express):
    """Notes which requests it took in hand."""

    taken: list[bool]

    def begin(self, *arguments: Any) -> Answering | None:
        found = super().begin(*arguments)
        self.taken.append(found is not None)
        return found


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found


@dataclass(slots=True)
class Running:
    """One that listens.

    Attributes:
        taken: for each request that was plain, whether the express lane took it.
    """

    app: FastAPI
    port: int
    state: ServerState
    taken: list[bool] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def parts(self) -> Application:
        parts: Application = self.app.state.application
        return parts

    @property
    def connections(self) -> list[ExpressProtocol]:
        return [each for each in self.state.connections if isinstance(each, ExpressProtocol)]

    def metrics(self) -> str:
        return self.parts.metrics.render("")[0].decode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)  # to be closed
        return reader, writer

    async def ask(self, query: str = "", body: bytes | None = None, *headers: str) -> Answer:
        reader, writer = await self.connect()
        writer.write(request(query, body, *headers))
        return await read_answer(reader)


def request(query: str = "", body: bytes | None = None, *headers: str) -> bytes:
    body = png() if body is None else body
    lines = [f"POST /predict{query} HTTP/1.1", "Host: x", "Content-Type: image/png", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    return Answer(int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def listening(settings: Settings, keep_alive_s: int = 5) -> AsyncIterator[Running]:
    app = build_app(settings)
    parts: Application = app.state.application
    express = Watched(parts, count_by_outcome(parts.metrics))
    config = uvicorn.Config(
        app, http=with_express(express), ws="none", timeout_keep_alive=keep_alive_s, log_config=None
    )
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    async with app.router.lifespan_context(app):
        loop, make = asyncio.get_running_loop(), config.http_protocol_class
        server = await loop.create_server(lambda: make(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
        running = Running(app, server.sockets[0].getsockname()[1], state)
        express.taken = running.taken
        try:
            yield running
        finally:
            server.close()
            for writer in running.writers:
                writer.close()
            while state.connections:
                await asyncio.sleep(0.001)
