"""Plans for the tests that need no network."""

from collections.abc import Mapping

from service.engine import NativePlan
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import Array


class StillPlan:
    """A plan of a given size that nobody runs."""

    name = "still"
    input_shape = (1, 1, 1)
    classes = 1
    layer_bytes: Mapping[str, int] = {}

    def __init__(self, resident_bytes: int = 0) -> None:
        self.resident_bytes = resident_bytes

    def run(self, batch: Array) -> Array:
        raise AssertionError("a plan was run that nobody runs")


CpuPlan: type = NumpyPlan if NativePlan is None else NativePlan
"""What `compile_plan` makes for the CPU here: tests that watch or break an engine do it to this one."""
CPU_RUN = "run" if NativePlan is None else "run_pictures"  # what the queue calls
