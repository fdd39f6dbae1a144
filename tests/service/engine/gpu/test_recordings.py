"""How runs are recorded and replayed, with recordings that only count."""

import logging

import pytest
import torch

from service.engine.gpu.recordings import Recording, Recordings, Run


class Recorder:
    """Records by remembering the run; each recording holds a hundred bytes a picture."""

    def __init__(self, *fails: int) -> None:
        self.fails = fails
        self.recorded: list[int] = []
        self.replayed: list[int] = []

    def __call__(self, run: Run, example: torch.Tensor) -> Recording:
        count = example.shape[-1]
        self.recorded.append(count)
        if count in self.fails:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

        def replay(values: torch.Tensor) -> torch.Tensor:
            self.replayed.append(count)
            return run(values)

        return Recording(replay, 100 * count)


def batch(count: int) -> torch.Tensor:
    return torch.ones(3, count)


def run_all(recordings: Recordings, *counts: int) -> None:
    for count in counts:
        assert torch.equal(recordings(batch(count)), 2 * batch(count))


def test_a_batch_size_is_recorded_once_and_replayed_from_then_on() -> None:
    recorder = Recorder()
    recordings = Recordings(lambda values: 2 * values, recorder, 4)
    run_all(recordings, 1, 2, 1, 1)
    assert (recorder.recorded, recorder.replayed) == ([1, 2], [1, 2, 1, 1])
    assert recordings.size_bytes == 300


def test_those_used_longest_ago_are_dropped() -> None:
    recorder = Recorder()
    recordings = Recordings(lambda values: 2 * values, recorder, 2)
    run_all(recordings, 1, 2, 1, 3, 1, 2)
    assert recorder.recorded == [1, 2, 3, 2]
    assert recordings.size_bytes == 300


def test_a_batch_size_that_cannot_be_recorded_runs_without_and_is_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    recorder = Recorder(2)
    recordings = Recordings(lambda values: 2 * values, recorder, 4)
    run_all(recordings, 2, 2, 1)
    assert (recorder.recorded, recorder.replayed) == ([2, 1], [1])
    assert caplog.messages == ["engine: batches of 2 run without a CUDA graph (operation not permitted)"]


def test_no_recordings_may_be_kept() -> None:
    recorder = Recorder()
    run_all(Recordings(lambda values: 2 * values, recorder, 0), 1, 1)
    assert recorder.recorded == []
