"""What needs a CUDA device: timing by its own clock, and runs recorded as CUDA graphs. No test runs it without one."""

import functools
import statistics
import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from service.engine.gpu.recordings import Recording

_WARM_UPS = 3
_CALLS = 5  # in one graph: what is between them is part of none
_ROUNDS = 5
_capturing = threading.Lock()  # of all plans: a capture wants the device for itself

_Answer = TypeVar("_Answer")


@functools.cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """Captures cannot run on the default stream; one for all of them, as memory is cached by stream."""
    return torch.cuda.Stream(device)


def _warm_up(run: Callable[[], object]) -> torch.cuda.Stream:
    """Run on the side stream until kernels are compiled and cuDNN has searched; returns that stream."""
    stream = _side_stream(torch.cuda.current_device())
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.synchronize()
    return stream


def _capture(run: Callable[[], _Answer], stream: torch.cuda.Stream) -> tuple[torch.cuda.CUDAGraph, _Answer]:
    """A graph of one run, and the answer that each replay fills. `torch.cuda.graph` would empty all caches first."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The CUDA Graph is empty", UserWarning)  # a network of views alone
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            answer = run()
        finally:
            graph.capture_end()
    return graph, answer


def time_on_device(name: str, run: Callable[[], object]) -> float:
    """Seconds of one call inside a CUDA graph, the median of several replays: launches from Python do not count.

    A profiler finds the calls under their name.

    Raises:
        RuntimeError: it cannot be captured.
    """

    def several() -> None:
        for _ in range(_CALLS):
            run()

    with _capturing, torch.cuda.nvtx.range(name):
        graph, _ = _capture(several, _warm_up(run))
        graph.replay()
        return statistics.median(_time_replay(graph) for _ in range(_ROUNDS)) / _CALLS


def _time_replay(graph: torch.cuda.CUDAGraph) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def record(run: Callable[[Tensor], Tensor], example: Tensor) -> Recording:
    """Capture a run for values of one shape.

    Raises:
        RuntimeError: it cannot be captured.
    """
    values = example.clone()
    with _capturing:
        stream = _warm_up(lambda: run(values))
        before = torch.cuda.memory_reserved()
        graph, answer = _capture(lambda: run(values), stream)
        size_bytes = max(0, torch.cuda.memory_reserved() - before)

    def replay(given: Tensor) -> Tensor:
        values.copy_(given)
        graph.replay()
        return answer.clone()

    return Recording(replay, size_bytes)
