"""The machine and the versions that a measurement was made with."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("csrve", "numpy", "torch", "triton", "onnxruntime", "openvino", "onnx", "safetensors")


def processor() -> str:
    """Its name as the system gives it."""
    try:
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """Those that the native engine can use here, the fastest first; none where it was not built."""
    try:
        from service.engine.native_engine import instruction_sets
    except ImportError:
        return []
    return list(instruction_sets())


def versions(*, with_gpu: bool = False) -> dict[str, str]:
    """Python's, and those of the packages that are installed; the GPU's name where one is measured."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if with_gpu:
        from service.bench.cuda_engines import gpu_name

        found["gpu"] = gpu_name() or "none"
    return found


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
