"""The dense network behind LitServe, batched: `python -m service.bench_serve.litserve_peer BUNDLE`.

LitServe takes JSON or forms, so pictures come in base64. They are decoded by the same code as everywhere, in the worker
process, a batch at a time; a batch is what waits, at most `MAX_BATCH`, since a fixed wait only costs latency here.
"""

import argparse
import base64
from pathlib import Path
from typing import Any

import litserve
import torch

from model_store.bundle import decode_bundle
from service.bench_serve.torch_peers import Network

MAX_BATCH = 16


class Classifier(litserve.LitAPI):  # type: ignore[misc]  # no types
    """A bundle's network, dense."""

    def __init__(self, bundle: Path, threads: int) -> None:
        super().__init__(max_batch_size=MAX_BATCH, batch_timeout=0.0, api_path="/predict")
        self._bundle = bundle
        self._threads = threads

    def setup(self, device: str) -> None:
        """Called in the worker process."""
        torch.set_num_threads(self._threads)
        self._network = Network(decode_bundle(self._bundle.read_bytes()))

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, batch: list[bytes]) -> list[list[float]]:
        return self._network.classify([self._network.decode(data) for data in batch])

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return self._network.render(output)


def main() -> None:
    """Serve until a signal says otherwise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    server = litserve.LitServer(Classifier(options.bundle, options.threads), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=options.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
