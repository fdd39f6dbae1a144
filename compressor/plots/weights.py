"""Histograms of a layer's weights after each stage, and where k-means puts its centroids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from compressor.plots.canvas import MUTED, SERIES, new_figure
from compressor.sharing.kmeans import INITIALISATIONS, fit_centroids, initial_centroids, squared_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from compressor.report.subject import Weights

BINS = 81
HEADROOM = 12  # above the highest bar, on the logarithmic axis, for the note
ROW_HEIGHT_IN, COLUMN_WIDTH_IN = 1.15, 2.6
WIDEST_SHARE = 0.999  # of the weights that a histogram's range holds; a few are further out


def plot_histograms(stages: Sequence[tuple[str, Weights]], layers: Sequence[str]) -> Figure:
    """One row a layer, one column a stage: how many of its non-zero weights have which value."""
    figure = new_figure(1.2 + COLUMN_WIDTH_IN * len(stages), 0.6 + ROW_HEIGHT_IN * len(layers))
    grid = figure.subplots(len(layers), len(stages), squeeze=False, sharex="row")
    for row, layer in enumerate(layers):
        present = [weights[layer] for _, weights in stages if layer in weights]
        reach = max(float(np.quantile(np.abs(values), WIDEST_SHARE)) for values in present) or 1.0
        for column, (stage, weights) in enumerate(stages):
            axes = grid[row][column]
            _histogram(axes, weights.get(layer), reach, SERIES[column % len(SERIES)])
            if row == 0:
                axes.set_title(stage, fontsize=10)
            if column == 0:
                axes.set_ylabel(layer, fontsize=7)
    figure.supxlabel(
        "value of a weight (without zeros);\nthe outermost bars hold what lies further out; heights are logarithmic",
        fontsize=8,
    )
    return figure


def _histogram(axes: Axes, values: np.ndarray | None, reach: float, colour: str) -> None:
    axes.tick_params(labelsize=6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    if values is None:
        return
    alive = values[values != 0]
    counts, edges = np.histogram(np.clip(alive, -reach, reach), BINS, (-reach, reach))
    axes.bar((edges[:-1] + edges[1:]) / 2, counts, width=edges[1] - edges[0], color=colour)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, HEADROOM * max(1, int(counts.max())))
    axes.set_yticks([])
    axes.minorticks_off()
    axes.locator_params(axis="x", nbins=4)
    note = f"{len(alive):,} of {values.size:,}\n{len(np.unique(alive)):,} values"
    axes.annotate(note, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=6, color=MUTED)


def plot_centroids(layer: str, weights: np.ndarray, clusters: int) -> Figure:
    """Where the initialisations of k-means start and end over one layer's weights (Han et al. 2016, figure 6)."""
    alive = np.sort(weights[weights != 0].astype(np.float64))
    clusters = min(clusters, len(np.unique(alive)))
    figure = new_figure(8.6, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    above.hist(alive, bins=120, color="#cbd5e1")
    above.set_ylabel("weights")
    cumulative = above.twinx()
    cumulative.plot(alive, np.linspace(0, 1, len(alive)), color=MUTED, linewidth=1.2)
    cumulative.set_ylabel("share below", color=MUTED)
    cumulative.set_ylim(0, 1.02)
    cumulative.spines[["top"]].set_visible(False)
    for index, initialisation in enumerate(INITIALISATIONS):
        start = initial_centroids(alive, clusters, initialisation)
        end = fit_centroids(alive, clusters, initialisation)
        colour = SERIES[index]
        below.scatter(start, np.full(len(start), 2 * index + 0.35), marker="|", s=110, color=colour, alpha=0.55)
        below.scatter(end, np.full(len(end), 2 * index - 0.35), marker="o", s=20, color=colour)
        error = squared_error(alive, end) / float(np.square(alive).sum())
        text = f"{initialisation}: relative squared error {error:.2%}"
        below.annotate(text, (0.01, 2 * index + 0.72), xycoords=("axes fraction", "data"), fontsize=8, color=colour)
    rows = range(len(INITIALISATIONS))
    below.set_yticks([2 * row + offset for row in rows for offset in (-0.35, 0.35)], ["end", "start"] * len(rows))
    below.tick_params(axis="y", labelsize=7)
    below.set_ylim(-0.9, 2 * len(INITIALISATIONS) - 0.7)
    below.set_xlabel("value of a weight that was not pruned")
    above.set_title(f"{layer}: {clusters} centroids by each initialisation", loc="left", fontsize=11)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
