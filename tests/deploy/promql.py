"""As much of PromQL as it takes to find which metrics and labels an expression names."""

import re
from dataclasses import dataclass

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(
    rf"\b([a-z_:][a-z0-9_:]*)\s*(?:\{{((?:[^}}\"]|{_STRING})*)\}}|(?=\[|\s*$|\s*[-+*/<>=)]|\s+(?:and|or)\b))"
)
_MATCHER = re.compile(rf"([a-z_]+)\s*(=~|!~|!=|=)\s*({_STRING})")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric, and (label, operator, value) of each matcher."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> list[Selector]:
    """Every metric that an expression reads."""
    bare = _GROUPING.sub(" ", expression)
    return [
        Selector(metric, tuple((label, how, value[1:-1]) for label, how, value in _MATCHER.findall(inside)))
        for metric, inside in _SELECTOR.findall(bare)
    ]


def grouped(expression: str) -> set[str]:
    """Every label that an expression groups or joins by."""
    return {label.strip() for inside in _GROUPING.findall(expression) for label in inside.split(",") if label.strip()}
