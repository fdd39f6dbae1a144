"""What a measurement was made with: the machine, the versions, the command."""

import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

CPU_INFO = Path("/proc/cpuinfo")


def csrve_version() -> str:
    """The installed distribution's version; that of a bare checkout is unknown."""
    try:
        return importlib.metadata.version("csrve")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def surroundings() -> dict[str, Any]:
    """Command, processor, cores, memory, versions: JSON values."""
    return {
        "command": shlex.join(["python", "-m", "compressor", *sys.argv[1:]]),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "csrve": csrve_version(),
    }


def _processor() -> str:
    try:
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
