"""What a measurement was made with: the machine, the versions, the command."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from compressor.training.processes import process_count

CPU_INFO = Path("/proc/cpuinfo")
GIT_TIMEOUT_S = 10


def csrve_version() -> str:
    """The installed distribution's version; that of a bare checkout is unknown."""
    try:
        return importlib.metadata.version("csrve")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def git_revision() -> str | None:
    """The commit that these sources are of, with `-dirty` where they differ from it; None outside of a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():  # installed, perhaps below somebody else's checkout
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def surroundings() -> dict[str, Any]:
    """Command, processor, cores, memory, versions: JSON values."""
    return {
        "command": shlex.join([*_launcher(), "compressor", *sys.argv[1:]]),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": process_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "csrve": csrve_version(),
        "git": git_revision(),
    }


def _launcher() -> list[str]:
    many = ["torchrun", "--nproc-per-node", str(process_count()), "-m", "--"]  # else it takes --run for its own
    return many if process_count() > 1 else ["python", "-m"]


def _processor() -> str:
    try:
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
