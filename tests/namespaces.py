"""Mounts that only one process sees, for tests of full disks and read-only ones.

They need no privilege where the kernel lets users make namespaces of their own.
"""

import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


@cache
def _possible() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0


def command_after(mounts: str, *command: str) -> list[str]:
    """A command that runs in a mount namespace of its own, after a line of shell; skips the test where it cannot."""
    if not _possible():
        pytest.skip("needs namespaces of users and of mounts")
    return [*_UNSHARE, "sh", "-c", f"set -e; {mounts}; exec {shlex.join(command)}"]


def run_after(mounts: str, program: str, *arguments: str | Path) -> str:
    """What a Python program prints there."""
    command = command_after(mounts, sys.executable, "-c", program, *map(str, arguments))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
