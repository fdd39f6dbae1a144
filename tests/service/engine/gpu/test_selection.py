"""How kernels are chosen, with candidates that are made up and a clock that says what it is told."""

from collections.abc import Callable, Mapping

import pytest
import torch

from service.engine.gpu.layers import Candidate
from service.engine.gpu.selection import choose

VALUES = torch.tensor([1.0, -2.0])


def doubling(name: str, times: float = 2.0, tolerance: float = 1e-4) -> Candidate:
    return Candidate(name, lambda values: values * times, (), tolerance)


def clock(seconds: Mapping[str, float]) -> Callable[[str, Callable[[], object]], float]:
    """Runs what it times, and says what it was told."""

    def time(name: str, run: Callable[[], object]) -> float:
        run()
        return seconds[name]

    return time


def test_the_fastest_is_chosen_and_all_times_are_told() -> None:
    seconds = {"plain": 3.0, "quick": 1.0, "slow": 5.0}
    choice = choose([doubling(name) for name in seconds], [VALUES], clock(seconds))
    assert (choice.chosen.name, choice.seconds, choice.refused) == ("quick", seconds, {})


def test_one_alone_is_chosen_without_being_timed() -> None:
    choice = choose([doubling("only")], [VALUES], clock({}))
    assert (choice.chosen.name, choice.seconds) == ("only", {})


@pytest.mark.parametrize(("times", "difference"), [(2.001, "0.0005"), (float("nan"), "nan"), (float("inf"), "inf")])
def test_one_that_computes_something_else_is_refused_however_fast(times: float, difference: str) -> None:
    choice = choose([doubling("plain"), doubling("wrong", times)], [VALUES], clock({"plain": 1.0}))
    assert choice.chosen.name == "plain"
    assert choice.refused == {"wrong": f"answers differ by {difference} of the largest"}


def test_one_that_rounds_may_differ_as_far_as_it_says() -> None:
    rounded = doubling("rounded", 2.001, tolerance=1e-2)
    choice = choose([doubling("plain"), rounded], [VALUES], clock({"plain": 1.0, "rounded": 0.5}))
    assert choice.chosen is rounded


def test_one_that_raises_is_refused_with_its_first_line() -> None:
    def fail(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such instruction\nin line 3")

    choice = choose([doubling("plain"), Candidate("broken", fail)], [VALUES], clock({"plain": 1.0}))
    assert choice.refused == {"broken": "RuntimeError: no such instruction"}


def test_where_the_plainest_raises_the_next_is_what_others_must_agree_with() -> None:
    def fail(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    candidates = [Candidate("plain", fail), doubling("second"), doubling("wrong", 3.0)]
    choice = choose(candidates, [VALUES], clock({"second": 1.0}))
    assert choice.chosen.name == "second"
    assert choice.refused == {
        "plain": "RuntimeError: out of memory",
        "wrong": "answers differ by 0.5 of the largest",
    }


def test_where_nothing_can_be_timed_the_plainest_runs() -> None:
    def fail(name: str, run: Callable[[], object]) -> float:
        raise RuntimeError("cannot be captured")

    choice = choose([doubling("plain"), doubling("other")], [VALUES], fail)
    assert choice.chosen.name == "plain"
    assert set(choice.refused) == {"plain", "other"}
