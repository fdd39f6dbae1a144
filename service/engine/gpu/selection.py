"""Which of a step's candidates is the fastest on its device: measured, never guessed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from service.engine.gpu.layers import Candidate

Timer = Callable[[str, Callable[[], object]], float]
"""Seconds that a function takes, once it is warm. The name says what it is: a kernel's, or a whole network's."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was found for one step and batch size.

    Attributes:
        chosen: the fastest candidate; the plainest where nothing was measured.
        seconds: of each that was measured, by name.
        refused: why the others were not, by name.
    """

    chosen: Candidate
    seconds: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def choose(candidates: Sequence[Candidate], inputs: Sequence[Tensor], timer: Timer) -> Choice:
    """The fastest of those that run and agree with the first of them; the plainest, where none can be timed.

    Args:
        candidates: one or more, the plainest first.
        inputs: what the step reads.
    """
    plainest = candidates[0]
    if len(candidates) == 1:
        return Choice(plainest)
    expected: Tensor | None = None
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    for candidate in candidates:
        try:
            answer = candidate.run(*inputs)
            expected = answer if expected is None else expected
            difference = _difference(answer, expected)
            if difference <= candidate.tolerance:
                seconds[candidate.name] = timer(candidate.name, partial(candidate.run, *inputs))
            else:
                refused[candidate.name] = f"answers differ by {difference:.2g} of the largest"
        except Exception as error:  # whatever a compiler or a driver raises: the others are still there
            refused[candidate.name] = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    fastest = min(seconds, key=lambda name: seconds[name], default=plainest.name)
    (chosen,) = (candidate for candidate in candidates if candidate.name == fastest)
    return Choice(chosen, seconds, refused)


def _difference(answer: Tensor, expected: Tensor) -> float:
    """The largest difference in shares of the largest number expected; not a number where one is none."""
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    return float(((answer - expected).abs().max() / scale).item())
