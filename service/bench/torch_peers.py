"""torch on the CPU with the dense network: eager in both memory layouts, and compiled by inductor."""

from collections.abc import Callable, Mapping

import torch
import torch._inductor.config
from safetensors.torch import load_file
from torch import Tensor

from model_store.bundle import decode_bundle
from service.bench.engine import FIRST_RUN, Stopwatch
from service.bench.inputs import Files
from service.bench.torch_network import build_network
from service.engine.plan import Array


class TorchEngine:
    """Eager torch; weights and pictures lie channel by channel, or with channels last."""

    def __init__(self, threads: int, *, channels_last: bool = False) -> None:
        torch.set_num_threads(threads)
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def prepare(self, files: Files, pictures: Array) -> None:
        network = build_network(decode_bundle(files.bundle.read_bytes()))
        network.load_state_dict(load_file(files.path_of("safetensors")))
        self._network = self._finish(network.to(memory_format=self._memory_format))  # type: ignore[call-overload]
        self._pictures = torch.from_numpy(pictures).to(memory_format=self._memory_format)

    def _finish(self, network: torch.nn.Module) -> Callable[[Tensor], Tensor]:
        return network

    def run(self) -> Tensor:
        with torch.inference_mode():
            return self._network(self._pictures)

    def logits(self, answer: Tensor) -> Array:
        return answer.numpy()

    def load(self, files: Files, picture: Array) -> Mapping[str, float]:
        """From a safetensors file to a filled module. The module itself, yet empty, is made before the clock runs."""
        network = build_network(decode_bundle(files.bundle.read_bytes()))
        watch = Stopwatch()
        tensors = load_file(files.path_of("safetensors"))
        watch.lap("load file")
        network.load_state_dict(tensors)
        watch.lap("load state dict")
        with torch.inference_mode():
            network(torch.from_numpy(picture))
        watch.lap(FIRST_RUN)
        return watch.laps


class CompiledTorchEngine(TorchEngine):
    """torch.compile for fixed shapes, weights frozen: BatchNormalization folded, weights packed for the kernels."""

    def _finish(self, network: torch.nn.Module) -> Callable[[Tensor], Tensor]:
        return compile_network(network)


def compile_network(network: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    """The network by inductor, weights frozen, for the shapes that it is first called with."""
    torch.compiler.reset()
    torch._inductor.config.freezing = True  # as an option of torch.compile it has no effect
    return torch.compile(network, dynamic=False)
