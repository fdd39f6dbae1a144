"""Accuracy against a cost, one point a bundle, a colour and a shape a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compressor.plots.canvas import MUTED, SERIES, new_figure
from compressor.plots.labels import Label, place_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPES = ("o", "s", "^", "D")  # when the colours have all been used, they come again in another shape


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn: `group` gives colour and shape; published points are hollow, and have no `network`."""

    name: str
    cost: float
    value: float
    group: str
    published: bool = False
    network: str = ""


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say; `shares` where the cost is a share, `logarithmic` where it spans decades."""

    cost: str
    value: str
    title: str
    logarithmic: bool = False
    shares: bool = False


def plot_costs(points: Sequence[Point], axes: Axes, groups: Sequence[str]) -> Figure:
    """Draw the points, with the names of `worth_naming`.

    Args:
        groups: of the points that are not published, in the order that gives colours and shapes: plots that are given
            the same ones look alike.
    """
    import matplotlib

    figure = new_figure(8.6, 5.0)
    drawn = figure.subplots()
    colours = {group: SERIES[index % len(SERIES)] for index, group in enumerate(groups)}
    for index, group in enumerate(groups):
        mine = [point for point in points if point.group == group and not point.published]
        if not mine:
            continue
        drawn.scatter(
            [p.cost for p in mine], [p.value for p in mine], s=50, color=colours[group],
            marker=SHAPES[index // len(SERIES) % len(SHAPES)], label=group, zorder=3,
        )  # fmt: skip
    others = [point for point in points if point.published]
    if others:
        costs, values = [point.cost for point in others], [point.value for point in others]
        drawn.scatter(costs, values, s=36, facecolors="none", edgecolors=MUTED, label="published")
    if axes.logarithmic:
        drawn.set_xscale("log")
        drawn.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,g}"))
        drawn.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        low, high = min(point.cost for point in points), max(point.cost for point in points)
        steps = [each * 10.0**power for power in range(-4, 7) for each in (1, 2, 5)]
        drawn.set_xlim(low / 1.4, high * 1.9)
        drawn.set_xticks([step for step in steps if low / 1.4 <= step <= high * 1.9])
    if axes.shares:
        drawn.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    drawn.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=1))
    drawn.margins(x=0.12, y=0.14)
    drawn.set_xlabel(axes.cost)
    drawn.set_ylabel(axes.value)
    drawn.set_title(axes.title, loc="left", fontsize=11)
    drawn.grid(alpha=0.25)
    drawn.spines[["top", "right"]].set_visible(False)
    drawn.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    named = worth_naming(points)
    labels = [Label(p.cost, p.value, p.name, MUTED if p.published else colours[p.group]) for p in named]
    place_labels(figure, drawn, labels, [(point.cost, point.value) for point in points if point not in named])
    return figure


def worth_naming(points: Sequence[Point]) -> list[Point]:
    """The published ones, and those that no other of their group and network beats: where many runs of one method lie
    close together, all their names would hide them."""
    return [point for point in points if point.published or not any(_beats(other, point) for other in points)]


def _beats(one: Point, other: Point) -> bool:
    """Whether it is of the same kind, costs no more and reaches no less, and is not equal in both."""
    if one.published or (one.group, one.network) != (other.group, other.network):
        return False
    no_worse = one.cost <= other.cost and one.value >= other.value
    return no_worse and (one.cost, one.value) != (other.cost, other.value)
