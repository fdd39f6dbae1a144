"""Accuracy against sparsity, with what others published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compressor.plots.canvas import MUTED, SERIES, new_figure
from compressor.report.published import PUBLISHED_SPARSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DENSEST, SPARSEST = 0.5, 0.002  # shares of the weights left, at the ends of the axis unless a bundle is further out
TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)


def plot_accuracy_and_sparsity(ours: Sequence[tuple[str, float, float]], *, published: bool = True) -> Figure:
    """Draw (name, sparsity, accuracy) of our bundles, over the weights that are left on a logarithmic axis, and, for
    CIFAR-10, published sparse networks."""
    import matplotlib

    figure = new_figure(8.6, 5.0)
    axes = figure.subplots()
    points = [(p.method, p.network, p.sparsity, p.accuracy) for p in PUBLISHED_SPARSE if published]
    for method, network, sparsity, accuracy in points:
        axes.scatter([1 - sparsity], [accuracy], s=36, facecolors="none", edgecolors=MUTED)
        beside = [other for _, _, shared, other in points if shared == sparsity]
        rise = 5 if accuracy == max(beside) else -11 if accuracy == min(beside) else -3
        _name(axes, f"{method}, {network}", 1 - sparsity, accuracy, MUTED, rise)
    for index, (name, sparsity, accuracy) in enumerate(ours):
        colour = SERIES[index % len(SERIES)]
        axes.scatter([1 - sparsity], [accuracy], s=60, color=colour, zorder=3)
        _name(axes, f"{name}, {sparsity:.1%}, {accuracy:.2%}", 1 - sparsity, accuracy, colour)
    left = [1 - sparsity for _, sparsity, _ in ours] + [1 - sparsity for _, _, sparsity, _ in points]
    axes.set_xscale("log")
    axes.set_xlim(min(1.15, max(DENSEST, 1.3 * max(left))), min(SPARSEST * 20, min(left) / 4))
    low, high = sorted(axes.get_xlim())
    axes.set_xticks([1 - tick for tick in TICKS if low <= 1 - tick <= high])
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda share, _: f"{100 * (1 - share):.4g}%"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=1))
    axes.margins(y=0.12)
    axes.set_xlabel("share of convolution and linear weights that is zero (what is left is logarithmic)")
    axes.set_ylabel("accuracy on the test pictures")
    axes.set_title("Accuracy against sparsity: up and to the right is better", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _name(axes: Axes, text: str, left: float, accuracy: float, colour: str, rise: int = 5) -> None:
    axes.annotate(text, (left, accuracy), xytext=(6, rise), textcoords="offset points", fontsize=7.5, color=colour)
