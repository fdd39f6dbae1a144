"""A bundle layer by layer: bits a weight before and after Huffman, bytes by kind; and its accuracy stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from compressor.plots.canvas import MUTED, SERIES, new_figure
from model_store.accounting import KINDS
from model_store.tensors import SharedTensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST_INDEX_BITS = 16
BAR_IN, MARGIN_IN = 0.24, 1.7
LABEL = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}


def fixed_bits(tensor: SharedTensor) -> tuple[float, float]:
    """Bits a non-zero weight of (relative index, value) without Huffman: fixed widths, the best index width, fillers
    counted (Han et al. 2016, section 2); (0, 0) for a layer of zeros."""
    if not tensor.nonzeros:
        return 0.0, 0.0
    value_bits = max(1, int(np.ceil(np.log2(len(tensor.codebook)))))
    gaps = np.diff(tensor.positions, prepend=-1) - 1
    widths = range(1, WIDEST_INDEX_BITS + 1)
    entries = {bits: int((gaps >> bits).sum()) + len(gaps) for bits in widths}  # a filler for each 2^bits skipped
    bits = min(widths, key=lambda width: entries[width] * (width + value_bits))
    return entries[bits] * bits / len(gaps), entries[bits] * value_bits / len(gaps)


def plot_bits(layers: Mapping[str, SharedTensor], stream_bytes: Mapping[str, tuple[int, int]]) -> Figure:
    """For each layer two bars, index and value: CSR with fixed widths, and the same coded."""
    alive = {name: tensor for name, tensor in layers.items() if tensor.nonzeros}
    figure = new_figure(8.6, MARGIN_IN + 2 * BAR_IN * len(alive))
    axes = figure.subplots()
    rows = np.arange(len(alive))
    before = np.array([fixed_bits(tensor) for tensor in alive.values()])
    after = np.array([[8 * size / alive[name].nonzeros for size in stream_bytes[name]] for name in alive])
    for offset, bits, shade, word in ((-0.2, before, 0.45, "fixed widths"), (0.2, after, 1.0, "Huffman")):
        axes.barh(rows + offset, bits[:, 0], 0.36, color=SERIES[0], alpha=shade, label=f"index, {word}")
        axes.barh(rows + offset, bits[:, 1], 0.36, bits[:, 0], color=SERIES[1], alpha=shade, label=f"value, {word}")
        for row, total in zip(rows, bits.sum(1), strict=True):
            axes.annotate(f"{total:.1f}", (total, row + offset), xytext=(3, 0), textcoords="offset points",
                          va="center", fontsize=6.5, color=MUTED)  # fmt: skip
    axes.set_yticks(rows, list(alive), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("bits for each weight that is not zero (a layer without index bits codes its zeros as values)")
    axes.set_title("Bits a weight, CSR with fixed widths and then Huffman", loc="left", fontsize=11)
    _plain(axes)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def plot_bytes(by_layer: Mapping[str, Mapping[str, int]]) -> Figure:
    """A stacked bar for each layer, and for what all share: bytes by kind."""
    names = {layer or "(whole file)": sizes for layer, sizes in by_layer.items()}
    kinds = [kind for kind in KINDS if any(kind in sizes for sizes in names.values())]
    figure = new_figure(8.6, MARGIN_IN + BAR_IN * len(names))
    axes = figure.subplots()
    left = np.zeros(len(names))
    for index, kind in enumerate(kinds):
        sizes = np.array([found.get(kind, 0) for found in names.values()], dtype=float)
        hatch = "///" if index >= len(SERIES) else None
        colour = SERIES[index % len(SERIES)]
        share = f"{kind}, {int(sizes.sum()):,}"
        axes.barh(np.arange(len(names)), sizes, 0.75, left, color=colour, hatch=hatch, edgecolor="white", label=share)
        left += sizes
    axes.set_yticks(np.arange(len(names)), list(names), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("bytes")
    axes.set_title(f"Where the {int(left.sum()):,} bytes are", loc="left", fontsize=11)
    _plain(axes)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def plot_stages(subjects: Sequence[tuple[str, Mapping[str, float], float | None]]) -> Figure:
    """(name, holdout accuracy after each stage, test accuracy of the decoded file) of each bundle, as lines."""
    import matplotlib

    figure = new_figure(8.6, 4.2)
    axes = figure.subplots()
    stages = list(dict.fromkeys(stage for _, accuracies, _ in subjects for stage in accuracies))
    for index, (name, accuracies, test) in enumerate(subjects):
        colour = SERIES[index % len(SERIES)]
        places = [stages.index(stage) for stage in accuracies]
        axes.plot(places, list(accuracies.values()), marker="o", color=colour, label=f"{name}, holdout")
        for place, value in zip(places, accuracies.values(), strict=True):
            axes.annotate(f"{value:.2%}", (place, value), xytext=(0, 9), textcoords="offset points", ha="center",
                          fontsize=8, color=colour, bbox=LABEL)  # fmt: skip
        if test is not None:
            axes.scatter([len(stages)], [test], marker="D", color=colour, label=f"{name}, test pictures")
            axes.annotate(f"{test:.2%}", (len(stages), test), xytext=(0, 9), textcoords="offset points", ha="center",
                          fontsize=8, color=colour)  # fmt: skip
    axes.set_xticks(range(len(stages) + 1), [*stages, "decoded file,\ntest pictures"])
    axes.set_xlim(-0.4, len(stages) + 0.4)
    axes.margins(y=0.25)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=1))
    axes.set_ylabel("accuracy")
    axes.set_title("Accuracy stage by stage", loc="left", fontsize=11)
    _plain(axes, axis="y")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _plain(axes: Axes, axis: str = "x") -> None:
    axes.grid(axis=axis, alpha=0.25)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)
    if axis == "x":  # bars from top to bottom
        axes.margins(y=0.01)
