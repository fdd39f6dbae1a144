"""What is asked of CUDA, in which order, of a device that only takes notes. test_on_gpu.py asks a real one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from service.engine.gpu import cuda


class Stream:
    def __init__(self, device: int) -> None:
        self.device = device

    def wait_stream(self, other: object) -> None:
        NOTES.append("wait")


class Graph:
    def capture_begin(self, *, capture_error_mode: str) -> None:
        NOTES.append(f"begin {capture_error_mode}")

    def capture_end(self) -> None:
        NOTES.append("end")

    def replay(self) -> None:
        NOTES.append("replay")


class Event:
    """Replays take longer and longer: 10 ms more each time."""

    clock_ms = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at_ms = Event.clock_ms
        Event.clock_ms += 10.0 * NOTES.count("replay")

    def synchronize(self) -> None:
        NOTES.append("synchronize")

    def elapsed_time(self, other: "Event") -> float:
        return other.at_ms - self.at_ms


@contextmanager
def nothing(*_: object) -> Iterator[None]:
    yield


NOTES: list[str] = []


@pytest.fixture(autouse=True)
def device_that_takes_notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    NOTES.clear()
    Event.clock_ms = 0.0
    cuda._side_stream.cache_clear()
    reserved = iter([1000, 1700])
    fakes = {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "Event": Event,
        "stream": nothing,
        "current_stream": lambda: Stream(0),
        "current_device": lambda: 0,
        "memory_reserved": lambda: next(reserved),
        "synchronize": lambda: NOTES.append("synchronize"),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.cuda.nvtx, "range", nothing)
    yield
    cuda._side_stream.cache_clear()


def test_a_kernel_is_warmed_up_captured_and_replayed_and_the_median_of_one_call_is_told() -> None:
    # the first replay does not count; the five that do take 10, 20, ... 50 ms, for five calls each
    assert cuda.time_on_device("kernel", lambda: NOTES.append("run")) == pytest.approx(0.030 / 5)
    warm_up = ["wait", "run", "run", "run", "synchronize"]
    assert NOTES[:12] == [*warm_up, "begin thread_local", *["run"] * 5, "end"]
    assert NOTES[12:] == ["replay", *["replay", "synchronize"] * 5]


def test_a_run_is_recorded_with_the_memory_that_it_took_and_its_answer_is_copied() -> None:
    values = torch.ones(3, 2)
    recording = cuda.record(lambda given: given * 2, values)
    assert recording.size_bytes == 700
    answer = recording.replay(values)
    assert NOTES[-1] == "replay"
    assert torch.equal(answer, 2 * values)
    answer.zero_()
    assert torch.equal(recording.replay(values), 2 * values)


def test_a_run_that_raises_ends_its_capture() -> None:
    def fail(values: torch.Tensor) -> torch.Tensor:
        if "begin thread_local" in NOTES:
            raise RuntimeError("operation not permitted")
        return values

    with pytest.raises(RuntimeError, match="^operation not permitted$"):
        cuda.record(fail, torch.ones(1))
    assert NOTES[-2:] == ["begin thread_local", "end"]
    assert not cuda._capturing.locked()
