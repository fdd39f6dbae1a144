"""What needs a CUDA device: timing by its own clock, and runs recorded as CUDA graphs. No test runs it without one."""

import statistics
import threading
from collections.abc import Callable

import torch
from torch import Tensor

from service.engine.gpu.recordings import Recording

_WARM_UPS = 3
_CALLS = 10  # in one graph: what is between them is part of neither
_ROUNDS = 7
_capturing = threading.Lock()  # of all plans: a capture wants the device for itself


def _warm_up(run: Callable[[], object]) -> torch.cuda.Stream:
    """Run on a stream of its own, as captures must: kernels are compiled and cuDNN has searched when it returns."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    return stream


def time_on_device(name: str, run: Callable[[], object]) -> float:
    """Seconds of one call inside a CUDA graph, the median of several replays: launches from Python do not count.

    A profiler finds the calls under their name.

    Raises:
        RuntimeError: it cannot be captured.
    """
    with _capturing, torch.cuda.nvtx.range(name):
        stream = _warm_up(run)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            for _ in range(_CALLS):
                run()
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
    with _capturing:
        values = example.clone()
        stream = _warm_up(lambda: run(values))
        torch.cuda.synchronize()
        before = torch.cuda.memory_reserved()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            answer = run(values)
        size_bytes = max(0, torch.cuda.memory_reserved() - before)

    def replay(given: Tensor) -> Tensor:
        values.copy_(given)
        graph.replay()
        return answer.clone()

    return Recording(replay, size_bytes)
