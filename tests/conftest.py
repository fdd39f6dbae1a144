"""Settings of all tests."""

import os
from pathlib import Path

if not Path("/dev/nvidiactl").exists():  # read when triton is imported, which happens once: set before any test
    os.environ.setdefault("TRITON_INTERPRET", "1")

from hypothesis import settings

settings.register_profile("csrve", deadline=None)  # a busy machine is no failure
settings.load_profile("csrve")
