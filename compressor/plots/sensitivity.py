"""Accuracy against the share of weights a layer keeps, one line a layer (Han et al. 2015, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compressor.plots.canvas import MUTED, new_figure
from compressor.pruning.sensitivity import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_ROWS = 20
NAMED = 3
FIRST_COLOUR, LAST_COLOUR = 0.0, 0.9  # of the colour map: its last tenth is too light on white


def plot_sensitivity(
    title: str, measurements: Sequence[Measurement], dense_accuracy: float, allowed_loss: float
) -> Figure:
    """Draw a scan: the first layer darkest, the last lightest, and the accuracy that an allowed loss leaves."""
    import matplotlib

    layers = list(dict.fromkeys(measurement.layer for measurement in measurements))
    columns = -(-len(layers) // LEGEND_ROWS)
    figure = new_figure(7.5 + 1.9 * columns, 5.2)
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"]
    for index, layer in enumerate(layers):
        line = sorted((m.sparsity, m.accuracy) for m in measurements if m.layer == layer)
        kept = [1.0, *(1 - sparsity for sparsity, _ in line)]
        colour = colours(FIRST_COLOUR + (LAST_COLOUR - FIRST_COLOUR) * index / max(1, len(layers) - 1))
        accuracies = [dense_accuracy, *(accuracy for _, accuracy in line)]
        axes.plot(kept, accuracies, marker="o", markersize=3, linewidth=1.4, color=colour, label=layer)
    _name_the_worst(axes, measurements)
    axes.axhline(dense_accuracy - allowed_loss, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        f"dense {dense_accuracy:.2%} less {allowed_loss:.2%}",
        (0.0, dense_accuracy - allowed_loss), xycoords=("axes fraction", "data"), xytext=(6, -12),
        textcoords="offset points", color=MUTED, fontsize=8,
    )  # fmt: skip
    axes.set_xlim(1.02, -0.02)
    axes.set_xlabel("share of the layer's weights kept (the others are dense)")
    axes.set_ylabel("accuracy on the holdout, not retrained")
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=7, ncols=columns, frameon=False, title="layer, first to last")
    return figure


def _name_the_worst(axes: Axes, measurements: Sequence[Measurement]) -> None:
    """Write the layers that lose most beside the lowest point of their lines."""
    lowest: dict[str, Measurement] = {}
    for measurement in sorted(measurements, key=lambda m: -m.accuracy):
        lowest[measurement.layer] = measurement
    for measurement in sorted(lowest.values(), key=lambda m: m.accuracy)[:NAMED]:
        place = (1 - measurement.sparsity, measurement.accuracy)
        axes.annotate(measurement.layer, place, xytext=(6, -3), textcoords="offset points", fontsize=7)
