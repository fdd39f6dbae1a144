"""The plan that `compile_plan` makes for the CPU here: tests that watch or break an engine do it to this one."""

from service.engine import NativePlan
from service.engine.numpy_engine import NumpyPlan

CpuPlan: type = NumpyPlan if NativePlan is None else NativePlan
