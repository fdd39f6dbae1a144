"""Servers that tests make up, in a thread of their own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """The port of a server that talks so with everyone who connects, until that returns or the other end is gone.

    When the context is left every connection has been closed, whoever still talked.
    """
    ready, ports, loops = threading.Event(), [], []
    stop = asyncio.Event()
    writers: set[asyncio.StreamWriter] = set()
    talks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with suppress(EOFError, OSError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()  # what was closed with bytes to send would wait for the other end
        for _ in range(3):  # the loop's next turns tell the transports
            await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield ports[0]
    finally:
        if loops:
            loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)
