"""Accuracy against bytes on disk, with the published points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compressor.plots.canvas import MUTED, SERIES, new_figure
from compressor.report.published import PUBLISHED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = {"VGG-16": "s", "ResNet-20-4": "^"}


def plot_accuracy_and_bytes(ours: Sequence[tuple[str, int, float]], *, published: bool = True) -> Figure:
    """Draw (name, bytes, accuracy) of our bundles, and, for CIFAR-10, what others published."""
    import matplotlib

    figure = new_figure(8.6, 5.0)
    axes = figure.subplots()
    if published:
        for network, marker in MARKERS.items():
            points = [point for point in PUBLISHED if point.network == network]
            axes.scatter(
                [p.size_bytes / 1000 for p in points], [p.accuracy for p in points], marker=marker, s=36,
                facecolors="none", edgecolors=MUTED, label=f"published, {network}",
            )  # fmt: skip
        for point in PUBLISHED:
            _name(axes, point.method, point.size_bytes, point.accuracy, MUTED)
    for index, (name, size_bytes, accuracy) in enumerate(ours):
        colour = SERIES[index % len(SERIES)]
        axes.scatter([size_bytes / 1000], [accuracy], s=60, color=colour, label=name, zorder=3)
        _name(axes, f"{name}, {size_bytes / 1000:,.1f} kB, {accuracy:.2%}", size_bytes, accuracy, colour)
    axes.set_xscale("log")
    ticks = [20, 50, 100, 200, 500, 1000, 2000]
    sizes = [size / 1000 for _, size, _ in ours] + [p.size_bytes / 1000 for p in PUBLISHED if published]
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 2.2)
    axes.set_xticks([tick for tick in ticks if min(sizes) / 1.5 <= tick <= max(sizes) * 2.2])
    axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=1))
    axes.margins(y=0.12)
    axes.set_xlabel("kilobytes on disk, everything counted (logarithmic)")
    axes.set_ylabel("accuracy on the test pictures")
    axes.set_title("Accuracy against bytes: up and to the left is better", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def _name(axes: object, text: str, size_bytes: int, accuracy: float, colour: str) -> None:
    place = (size_bytes / 1000, accuracy)
    axes.annotate(text, place, xytext=(6, 5), textcoords="offset points", fontsize=7.5, color=colour)  # type: ignore[attr-defined]
