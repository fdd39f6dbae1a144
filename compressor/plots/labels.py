"""Names beside points, where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FONT_POINTS = 7
_POINT_RADIUS = 5  # of what a label keeps off, in points
_RADII = (6, 16, 28, 42, 58)  # points from the middle of its point to the nearest corner or side of a label
_STEPS = [step / 24 for step in range(25)]  # where a line is looked at
_SIDES = ((1, 1), (1, -1), (1, 0), (-1, 1), (-1, -1), (-1, 0), (0, 1), (0, -1))

_Box = tuple[float, float, float, float]  # left, bottom, right, top, in dots
_Line = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Label:
    """A name, and the point that it belongs to, in the axes' data coordinates."""

    x: float
    y: float
    text: str
    colour: str


def place_labels(
    figure: Figure, axes: Axes, labels: Sequence[Label], nameless: Sequence[tuple[float, float]] = ()
) -> None:
    """Write each label where it covers the least of points, earlier labels and what lies outside the axes; the nearest
    such place counts. A thin line leads to one that is not beside its point; it should cross no name. The axes' limits
    must be final.

    Args:
        nameless: points without a label, to be kept off as well, in the axes' data coordinates.
    """
    figure.draw_without_rendering()
    frame = axes.get_window_extent()
    outer = (frame.x0, frame.y0, frame.x1, frame.y1)
    dots = figure.dpi / 72
    middles = [axes.transData.transform((label.x, label.y)) for label in labels]
    others = [axes.transData.transform(point) for point in nameless]
    taken = [_around(x, y, _POINT_RADIUS * dots) for x, y in [*middles, *others]]
    names: list[_Box] = []
    lines: list[_Line] = []
    for label, (x, y) in zip(labels, middles, strict=True):
        size = _size(axes, label)
        places = [(radius, _box(x, y, size, side, radius * dots)) for radius in _RADII for side in _SIDES]
        paths = [_line(x, y, box) if radius > _RADII[0] else [] for radius, box in places]
        losses = [
            (round(_lost(box, taken, outer)), _crossings(box, path, names, lines))
            for (_, box), path in zip(places, paths, strict=True)
        ]
        best = losses.index(min(losses))  # of equals the first, the nearest
        radius, box = places[best]
        line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 3}
        written = axes.annotate(
            label.text, (label.x, label.y), xytext=((box[0] - x) / dots, (box[1] - y) / dots),
            textcoords="offset points", fontsize=_FONT_POINTS, color=label.colour, va="bottom",
            arrowprops=line if radius > _RADII[0] else None,
        )  # fmt: skip
        written.set_in_layout(False)
        taken.append(box)
        names.append(box)
        lines.append(paths[best])


def _size(axes: Axes, label: Label) -> tuple[float, float]:
    """Width and height of a label, in dots."""
    text = axes.text(label.x, label.y, label.text, fontsize=_FONT_POINTS)
    extent = text.get_window_extent()
    text.remove()
    return extent.width, extent.height


def _box(x: float, y: float, size: tuple[float, float], side: tuple[int, int], radius: float) -> _Box:
    """Where a label lies that is `radius` dots to one side of its point."""
    width, height = size
    left = x + side[0] * radius - (0.5 - 0.5 * side[0]) * width
    bottom = y + side[1] * radius - (0.5 - 0.5 * side[1]) * height
    return left, bottom, left + width, bottom + height


def _around(x: float, y: float, radius: float) -> _Box:
    return x - radius, y - radius, x + radius, y + radius


def _lost(box: _Box, taken: Sequence[_Box], outer: _Box) -> float:
    """The area of a label that would cover something, or lie outside."""
    return sum(_shared(box, other) for other in taken) + _area(box) - _shared(box, outer)


def _line(x: float, y: float, box: _Box) -> _Line:
    """Points of the line from a point to the middle of its label."""
    across, up = (box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y
    return [(x + step * across, y + step * up) for step in _STEPS]


def _crossings(box: _Box, line: _Line, names: Sequence[_Box], lines: Sequence[_Line]) -> int:
    """How many names the label's line would cross, and how many lines the label."""
    return sum(_meets(line, name) for name in names) + sum(_meets(other, box) for other in lines)


def _meets(line: _Line, box: _Box) -> bool:
    return any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in line)


def _area(box: _Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _shared(one: _Box, other: _Box) -> float:
    """The area that two boxes share."""
    return _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
