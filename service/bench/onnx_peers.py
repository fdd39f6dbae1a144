"""onnxruntime and OpenVINO, which load the ONNX file of the dense network. Each batch size has a model of its own.

Fixed shapes are what both run fastest; both fold BatchNormalization into the convolutions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.bench.engine import FIRST_RUN, Stopwatch
from service.bench.inputs import Files
from service.engine.plan import Array


class OnnxRuntimeEngine:
    """onnxruntime on its CPU provider, all graph optimisations on."""

    def __init__(self, threads: int) -> None:
        import onnxruntime

        self._onnxruntime = onnxruntime
        self._threads = threads

    def prepare(self, files: Files, pictures: Array) -> None:
        self._session = self._open(files.path_of("onnx"), len(pictures))
        self._pictures = pictures

    def _open(self, path: Path, count: int) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_free_dimension_override_by_name("batch", count)
        return self._onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self) -> Any:
        return self._session.run(None, {"images": self._pictures})

    def logits(self, answer: Any) -> Array:
        return np.asarray(answer[0], dtype=np.float32)

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        watch = Stopwatch()
        session = self._open(files.path_of("onnx"), 1)
        watch.lap("create session")
        session.run(None, {"images": picture})
        watch.lap(FIRST_RUN)
        return watch.laps


class OpenVinoEngine:
    """OpenVINO's CPU plugin in float32, tuned for latency: one stream that has all threads."""

    def __init__(self, threads: int) -> None:
        import openvino

        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Processors with bfloat16 would round everything to it, and answer differently.
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def prepare(self, files: Files, pictures: Array) -> None:
        model = self._core.read_model(files.path_of("onnx"))
        self._request = self._compile(model, pictures)
        self._pictures = pictures

    def _compile(self, model: Any, pictures: Array) -> Any:
        model.reshape(list(pictures.shape))
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()

    def run(self) -> Any:
        return self._request.infer([self._pictures], share_inputs=True, share_outputs=True)

    def logits(self, answer: Any) -> Array:
        return np.array(answer[0], dtype=np.float32)

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        watch = Stopwatch()
        model = self._core.read_model(files.path_of("onnx"))
        watch.lap("read model")
        request = self._compile(model, picture)
        watch.lap("compile")
        request.infer([picture], share_inputs=True)
        watch.lap(FIRST_RUN)
        return watch.laps
