"""Every engine that can be measured: its name, what it needs, and whether that is there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from service.bench.engine import Engine
from service.bench.report import TOLERANCE
from service.errors import BenchError

_INSTRUCTION_SETS = ("avx512", "avx2", "neon", "plain")


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One engine.

    Attributes:
        needs: modules that must be importable.
        file: the format it loads, a field of `Files`.
        dense: somebody else's runtime, which executes every weight: a candidate for the best dense one.
        loads: whether the time it takes to load is measured; compiling by inductor takes minutes.
        gpu: whether it runs on a GPU.
        tolerance: how far its logits may lie from the numpy engine's, in shares of the largest.
    """

    name: str
    needs: tuple[str, ...] = ()
    file: str = "bundle"
    dense: bool = False
    loads: bool = True
    gpu: bool = False
    tolerance: float = TOLERANCE


_ROUNDED = 5e-2  # operands of 8 or 11 bits, through all layers
_TORCH = ("torch", "safetensors")
_CUDA = ("torch", "triton", "safetensors")
_NATIVE = ("service.engine._native",)

# What the command line may name -> the engines that stand for it.
OWN: Mapping[str, tuple[EngineKind, ...]] = {
    "native": (EngineKind("native", _NATIVE),),
    **{f"native-{name}": (EngineKind(f"native-{name}", _NATIVE),) for name in _INSTRUCTION_SETS},
    "numpy": (EngineKind("numpy"),),
}
PEERS: Mapping[str, tuple[EngineKind, ...]] = {
    "torch": (
        EngineKind("torch", _TORCH, "safetensors", dense=True),
        EngineKind("torch-channels-last", _TORCH, "safetensors", dense=True, loads=False),
    ),
    "torch-compile": (EngineKind("torch-compile", _TORCH, "safetensors", dense=True, loads=False),),
    "onnxruntime": (EngineKind("onnxruntime", ("onnxruntime", "onnx"), "onnx", dense=True),),
    "openvino": (EngineKind("openvino", ("openvino", "onnx"), "onnx", dense=True),),
}
# With --device cuda these may be named too.
CUDA_OWN: Mapping[str, tuple[EngineKind, ...]] = {
    "cuda": (EngineKind("cuda", _CUDA, gpu=True),),
    "cuda-bf16": (EngineKind("cuda-bf16", _CUDA, gpu=True, tolerance=_ROUNDED),),
}
CUDA_PEERS: Mapping[str, tuple[EngineKind, ...]] = {
    "torch-cuda": (
        EngineKind("torch-cuda", _TORCH, "safetensors", dense=True, gpu=True),
        EngineKind("torch-cuda-tf32", _TORCH, "safetensors", True, loads=False, gpu=True, tolerance=_ROUNDED),
        EngineKind("torch-cuda-bf16", _TORCH, "safetensors", True, loads=False, gpu=True, tolerance=_ROUNDED),
    ),
    "torch-cuda-compile": (
        EngineKind("torch-cuda-compile", _TORCH, "safetensors", dense=True, loads=False, gpu=True),
        EngineKind("torch-cuda-compile-bf16", _TORCH, "safetensors", True, loads=False, gpu=True, tolerance=_ROUNDED),
    ),
}
_KINDS: Mapping[str, tuple[EngineKind, ...]] = {**OWN, **PEERS, **CUDA_OWN, **CUDA_PEERS}


def own_engines(device: str) -> tuple[str, ...]:
    """The names of our engines that may be measured beside a device, "cpu" or "cuda"."""
    return (*OWN, *CUDA_OWN) if device == "cuda" else tuple(OWN)


def peers(device: str) -> tuple[str, ...]:
    """The same of other people's."""
    return (*PEERS, *CUDA_PEERS) if device == "cuda" else tuple(PEERS)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engines that will run, in order, and why others will not: name -> reason."""

    present: tuple[EngineKind, ...]
    absent: Mapping[str, str]


def check_names(names: Sequence[str], known: Iterable[str], what: str) -> None:
    """Refuse a name that is not known, or given twice.

    Raises:
        BenchError: there is one.
    """
    for name in names:
        if name not in known:
            raise BenchError(f'{what} "{name}": must be one of {", ".join(known)}')
        if names.count(name) > 1:
            raise BenchError(f'{what} "{name}": named twice, must be once')


def choose_engines(own: Sequence[str], other: Sequence[str], device: str = "cpu") -> Choice:
    """Those of the named engines that can run here; the others are named with what they lack.

    Raises:
        BenchError: a name is unknown, or nothing is left to measure.
    """
    check_names(own, own_engines(device), "engine")
    check_names(other, peers(device), "peer")
    kinds = [kind for name in (*own, *other) for kind in _KINDS[name]]
    absent = {kind.name: reason for kind in kinds if (reason := _what_is_missing(kind))}
    present = tuple(kind for kind in kinds if kind.name not in absent)
    if not present:
        raise BenchError("engines: none can run here" + "".join(f"; {name} {why}" for name, why in absent.items()))
    return Choice(present, absent)


def _what_is_missing(kind: EngineKind) -> str:
    for module in kind.needs:
        if find_spec(module) is None:
            return "was not built" if module == "service.engine._native" else f"needs {module}, which is not installed"
    if kind.gpu and not _gpu_name():
        return "needs a GPU that torch can use"
    instruction_set = kind.name.partition("native-")[2]
    if instruction_set and instruction_set not in _runnable_instruction_sets():
        return f"needs {instruction_set}, which this machine does not run"
    return ""


def _gpu_name() -> str:
    from service.bench.cuda_engines import gpu_name

    return gpu_name()


def _runnable_instruction_sets() -> tuple[str, ...]:
    from service.engine.native_engine import instruction_sets

    return instruction_sets()


def build_engine(name: str, threads: int) -> Engine:
    """The engine of that name. Imports its runtime, in the process that will run it."""
    if name == "numpy":
        from service.bench.own_engines import numpy_engine

        return numpy_engine()
    if name.startswith("native"):
        from service.bench.own_engines import native_engine

        return native_engine(threads, name.partition("-")[2])
    if name == "onnxruntime":
        from service.bench.onnx_peers import OnnxRuntimeEngine

        return OnnxRuntimeEngine(threads)
    if name == "openvino":
        from service.bench.onnx_peers import OpenVinoEngine

        return OpenVinoEngine(threads)
    if "cuda" in name:
        return _build_cuda(name)
    return _build_torch(name, threads)


def _build_cuda(name: str) -> Engine:
    from service.bench.cuda_engines import CudaEngine, CudaTorchEngine

    precision = {"bf16": "bfloat16", "tf32": "tf32"}.get(name.rpartition("-")[2], "float32")
    if name.startswith("cuda"):
        return CudaEngine(precision)
    return CudaTorchEngine(precision, compiled="compile" in name)


def _build_torch(name: str, threads: int) -> Engine:
    from service.bench.torch_peers import CompiledTorchEngine, TorchEngine

    if name == "torch-compile":
        return CompiledTorchEngine(threads)
    return TorchEngine(threads, channels_last=name == "torch-channels-last")
