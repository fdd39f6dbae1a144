"""The dense network behind FastAPI, as it is commonly written: `python -m service.bench_serve.torch_peers KIND BUNDLE`.

`naive` runs each picture alone in a thread of the framework's; `batched` runs what has come in meanwhile together. Both
decode pictures as we do, so that the difference is the network and the service.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from torch import Tensor, fx

from model_store.bundle import Bundle, decode_bundle
from service.bench.torch_network import build_network
from service.pictures import read_picture

KINDS = ("naive", "batched")
MAX_BATCH = 32
MAX_PIXELS = 1 << 24
_Classify = Callable[[bytes], Coroutine[Any, Any, list[float]]]


class Network:
    """A bundle's network, dense, and what pictures go through before it."""

    def __init__(self, bundle: Bundle) -> None:
        self._preprocessing = bundle.preprocessing
        self._class_names = bundle.class_names
        self._module: fx.GraphModule = build_network(bundle)
        names = bundle.graph.tensor_names()
        dense = {name: bundle.tensors[index].to_dense() for index, name in names.items()}
        self._module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in dense.items()})

    def decode(self, data: bytes) -> Tensor:
        """A picture, float32 [channels, height, width]."""
        return torch.from_numpy(read_picture(data, self._preprocessing, MAX_PIXELS))

    def classify(self, pictures: list[Tensor]) -> list[list[float]]:
        """Probabilities of every picture's classes."""
        with torch.inference_mode():
            answer: list[list[float]] = self._module(torch.stack(pictures)).softmax(1).tolist()
        return answer

    def render(self, probabilities: list[float]) -> dict[str, object]:
        """The five likeliest classes."""
        best = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])[:5]
        top = [{"label": self._class_names[index], "probability": probabilities[index]} for index in best]
        return {**top[0], "top": top}


class Batches:
    """Runs what waits, up to `MAX_BATCH` pictures at a time, one batch after the other."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._waiting: asyncio.Queue[tuple[bytes, asyncio.Future[list[float]]]] = asyncio.Queue()

    async def classify(self, data: bytes) -> list[float]:
        """A picture's probabilities, once its batch was run."""
        future: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((data, future))
        return await future

    async def work(self) -> None:
        """Run batches until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            answers = await asyncio.to_thread(self._run, [data for data, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _run(self, pictures: list[bytes]) -> list[list[float]]:
        return self._network.classify([self._network.decode(data) for data in pictures])


def build_peer(kind: str, network: Network) -> FastAPI:
    """The application of that kind."""
    batches = Batches(network)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        working = asyncio.create_task(batches.work())
        yield
        working.cancel()

    async def alone(data: bytes) -> list[float]:
        return (await run_in_threadpool(lambda: network.classify([network.decode(data)])))[0]

    classify: _Classify = batches.classify if kind == "batched" else alone
    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        return network.render(await classify(await request.body()))

    return app


def main() -> None:
    """Serve until a signal says otherwise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    app = build_peer(options.kind, Network(decode_bundle(options.bundle.read_bytes())))
    uvicorn.run(app, port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
