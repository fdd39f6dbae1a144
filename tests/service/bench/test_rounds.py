from collections.abc import Sequence

import pytest

from service.bench.rounds import Pace, Timing, summarize, take_turns
from service.errors import BenchError


def test_turns_are_interleaved() -> None:
    order: list[str] = []

    def turn(name: str, samples: Sequence[float]) -> list[float]:
        order.append(name)
        return [float(len(samples)), 9.0]

    samples = take_turns(["a", "b", "c"], 3, turn)
    assert "".join(order) == "abcabcabc"
    assert samples == {name: [0.0, 9.0, 2.0, 9.0, 4.0, 9.0] for name in "abc"}


def test_who_fails_has_no_further_turn_and_the_others_go_on() -> None:
    order: list[str] = []

    def turn(name: str, samples: Sequence[float]) -> list[float] | None:
        order.append(name)
        return None if name == "b" and samples else [1.0]

    samples = take_turns(["a", "b", "c"], 4, turn)
    assert "".join(order) == "abcabcacac"
    assert samples == {"a": [1.0] * 4, "b": [1.0], "c": [1.0] * 4}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([2.0], Timing(1, 2.0, 2.0, 2.0, 2.0)),
        ([5.0, 1.0, 2.0, 3.0, 4.0], Timing(5, 3.0, 2.0, 4.0, 1.0)),
        ([4.0, 1.0, 100.0, 3.0], Timing(4, 3.5, 2.5, 28.0, 1.0)),
    ],
)
def test_a_timing_is_median_quartiles_and_best(samples: list[float], expected: Timing) -> None:
    assert summarize(samples) == expected


def test_every_turn_warms_up_but_those_of_engines_slower_than_a_turn() -> None:
    pace = Pace(5, turn_s=0.1, warm_up_s=0.02)
    assert pace.warm_up_of([]) == 0.02
    assert pace.warm_up_of([0.05, 0.3]) == 0.02
    assert pace.warm_up_of([0.2, 0.3]) == 0.0


@pytest.mark.parametrize(
    ("rounds", "turn_s", "message"),
    [
        (0, 0.1, "rounds 0, must be in 1..1000"),
        (5, 0.0, "turn_s 0.0, must be in 0.001..600.0"),
        (5, float("nan"), "turn_s nan, must be in 0.001..600.0"),
    ],
)
def test_a_pace_outside_its_range_is_refused(rounds: int, turn_s: float, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        Pace(rounds, turn_s)
    assert str(caught.value) == message
