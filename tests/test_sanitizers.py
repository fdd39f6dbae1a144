"""The C++ extensions under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "sanitize"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def what_is_missing() -> str:
    """Why the extensions cannot be built here, or nothing."""
    tools = [tool for tool in ("bash", "g++", "cmake", "ninja") if shutil.which(tool, path=PATH) is None]
    return ", ".join([*tools, *(["nanobind"] if find_spec("nanobind") is None else [])])


@pytest.mark.slow
@pytest.mark.skipif(bool(what_is_missing()), reason=f"sanitizers: needs {what_is_missing()}")
def test_the_tests_of_the_extensions_pass_under_the_sanitizers() -> None:
    environment = {**os.environ, "PATH": PATH, "PYTHON": sys.executable}
    finished = subprocess.run([SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, (finished.stdout + finished.stderr)[-20_000:]
