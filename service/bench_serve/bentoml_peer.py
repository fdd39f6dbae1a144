"""The dense network behind BentoML, batched: `python -m service.bench_serve.bentoml_peer BUNDLE --port P --threads N`.

BentoML's releases pin other versions than ours, so it runs in an environment of its own (`--bentoml-python`), which
needs torch, Pillow, bitarray and fastapi too. Pictures come in base64, as a list of one: what its batching puts
together.
"""

import argparse
import base64
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import torch

from model_store.bundle import decode_bundle
from service.bench_serve.torch_peers import Network

MAX_BATCH = 16
BUNDLE, THREADS = "CSRVE_BENCH_BUNDLE", "CSRVE_BENCH_THREADS"  # how the worker processes are told


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Classifier:
    """A bundle's network, dense."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ[THREADS]))
        self._network = Network(decode_bundle(Path(os.environ[BUNDLE]).read_bytes()))

    @bentoml.api(route="/predict", batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=5000)  # type: ignore[untyped-decorator]
    def predict(self, images: list[str]) -> list[dict[str, Any]]:
        """The classes of each picture."""
        pictures = [self._network.decode(base64.b64decode(image)) for image in images]
        return [self._network.render(row) for row in self._network.classify(pictures)]


def main() -> None:
    """Become BentoML's server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--port", required=True)
    parser.add_argument("--threads", required=True)
    options = parser.parse_args()
    os.environ |= {BUNDLE: str(options.bundle.absolute()), THREADS: options.threads, "BENTOML_DO_NOT_TRACK": "True"}
    where = ["--host", "127.0.0.1", "--port", options.port]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", f"{__spec__.name}:Classifier", *where])


if __name__ == "__main__":
    main()
