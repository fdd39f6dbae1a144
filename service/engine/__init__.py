"""Engines: each turns a bundle into a Plan that runs batches of pictures. One interface, whatever the device."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from model_store.bundle import Bundle, decode_coded
from model_store.coded import CodedBundle
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import Plan
from service.errors import EngineUnavailable

try:
    from service.engine.native_engine import NativePlan
except ImportError:  # built without a compiler
    NativePlan = None  # type: ignore[assignment, misc]

__all__ = ["Plan", "compile_plan", "decode_for"]

_log = logging.getLogger(__name__)


def compile_plan(bundle: Bundle, device: str = "cpu", threads: int = 1, precision: str = "float32") -> Plan:
    """Make a bundle ready to run on a device, once.

    Args:
        device: "cpu", or a torch device such as "cuda", which needs torch.
        threads: how many threads one batch may use, where the engine decides that itself. The numpy engine, which takes
            over where the native one was not built or refuses a network, does not: its matrix products run on the
            process-wide BLAS threads, which `python -m service --threads` sets.
        precision: one of `PRECISIONS`, of dense layers on a torch device; on the CPU all is float32.

    Raises:
        EngineUnavailable: torch or the device is missing.
    """
    if threads < 1:
        raise EngineUnavailable(f"threads {threads}, must be at least 1")
    if device == "cpu":
        return _compile_for_cpu(bundle, threads)
    with _naming_what_is_missing(device):
        from service.engine.gpu import TorchPlan
        from service.engine.gpu.options import TorchOptions
    return TorchPlan(bundle, device, TorchOptions(precision))


def decode_for(device: str, coded: CodedBundle, threads: int = 1) -> Bundle:
    """Decode a bundle's weights where they will be used: on the device, if it is not the CPU.

    Raises:
        EngineUnavailable: torch or the device is missing.
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    if device == "cpu":
        return decode_coded(coded, threads)
    with _naming_what_is_missing(device):
        from service.engine.gpu import decode_on
    return decode_on(device, coded)


@contextmanager
def _naming_what_is_missing(device: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise EngineUnavailable(
            f'device "{device}": needs torch, which is not installed (pip install csrve[gpu])'
        ) from None


def _compile_for_cpu(bundle: Bundle, threads: int) -> Plan:
    if NativePlan is None:
        _log.warning("engine: numpy, as the native engine was not built")
        return NumpyPlan(bundle)
    try:
        plan = NativePlan(bundle, threads)
    except EngineUnavailable as error:
        _log.warning("engine: numpy (%s)", error)
        return NumpyPlan(bundle)
    _log.info("engine: %s", plan.name)
    return plan
