"""Our engine and torch on a GPU. Pictures and logits stay there, and each run waits until the device has ended.

The device is a parameter so that tests can run all of it on torch's CPU device.
"""

from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor

from model_store.bundle import check_bundle, decode_bundle
from service.bench.engine import FIRST_RUN, Stopwatch
from service.bench.inputs import Files
from service.bench.torch_network import build_network
from service.bench.torch_peers import compile_network
from service.engine.gpu import TorchPlan, decode_on
from service.engine.gpu.devices import set_precision
from service.engine.gpu.options import TorchOptions
from service.engine.plan import Array


def gpu_name() -> str:
    """The GPU that torch would take; empty where there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


class CudaEngine:
    """Our plan: kernels measured when it is made, and replayed as a CUDA graph."""

    def __init__(self, precision: str, device: str = "cuda") -> None:
        self._options = TorchOptions(precision)
        self._device = device

    def prepare(self, files: Files, pictures: Array) -> None:
        bundle = decode_on(self._device, check_bundle(files.bundle.read_bytes()))
        options = TorchOptions(self._options.precision, batches=(len(pictures),))
        self._plan = TorchPlan(bundle, self._device, options)
        self._pictures = torch.from_numpy(pictures).to(self._device)

    def run(self) -> Tensor:
        answer = self._plan.run_on_device(self._pictures)
        _wait(self._device)
        return answer

    def logits(self, answer: Tensor) -> Array:
        logits: Array = answer.cpu().numpy()
        return logits

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        """From the file's bytes to a plan; `choose kernels` is measuring them, at all batch sizes that serving does."""
        watch = Stopwatch()
        data = files.bundle.read_bytes()
        watch.lap("read")
        coded = check_bundle(data)
        watch.lap("verify")
        bundle = decode_on(self._device, coded)
        _wait(self._device)
        watch.lap("decode on the device")
        plan = TorchPlan(bundle, self._device, self._options)
        _wait(self._device)
        watch.lap("choose kernels")
        plan.run(picture)
        watch.lap(FIRST_RUN)
        return watch.laps


class CudaTorchEngine:
    """Dense torch on the device; `precision` as in `TorchOptions`. In bfloat16 channels lie last, for tensor cores."""

    def __init__(self, precision: str, *, compiled: bool = False, device: str = "cuda") -> None:
        if device.startswith("cuda"):
            set_precision(precision)
        self._type = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._order = torch.channels_last if precision == "bfloat16" else torch.contiguous_format
        self._compiled = compiled
        self._device = device

    def prepare(self, files: Files, pictures: Array) -> None:
        network = build_network(decode_bundle(files.bundle.read_bytes()))
        network.load_state_dict(load_file(files.path_of("safetensors")))
        network = network.to(self._device, self._type, memory_format=self._order)  # type: ignore[call-overload]
        self._network: Callable[[Tensor], Tensor] = compile_network(network) if self._compiled else network
        self._pictures = self._upload(pictures)

    def _upload(self, pictures: Array) -> Tensor:
        return torch.from_numpy(pictures).to(self._device, self._type).contiguous(memory_format=self._order)

    def run(self) -> Tensor:
        with torch.inference_mode():
            answer = self._network(self._pictures)
        _wait(self._device)
        return answer

    def logits(self, answer: Tensor) -> Array:
        logits: Array = answer.float().cpu().numpy()
        return logits

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        """From a safetensors file to a filled module on the device; the module, yet empty, is made before."""
        network = build_network(decode_bundle(files.bundle.read_bytes()))
        watch = Stopwatch()
        tensors = load_file(files.path_of("safetensors"))
        watch.lap("load file")
        network.load_state_dict(tensors)
        moved = network.to(self._device, self._type, memory_format=self._order)  # type: ignore[call-overload]
        _wait(self._device)
        watch.lap("load state dict")
        with torch.inference_mode():
            moved(self._upload(picture))
        _wait(self._device)
        watch.lap(FIRST_RUN)
        return watch.laps
