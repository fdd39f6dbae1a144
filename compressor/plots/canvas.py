"""Figures without a window: what every plot starts from, and how it is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import CompressorError
from compressor.training.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
SERIES = ("#2563eb", "#d97706", "#059669", "#b91c1c", "#7c3aed", "#475569", "#0891b2", "#be185d")
MUTED = "#64748b"


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure, without pyplot and its global state.

    Raises:
        CompressorError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise CompressorError("plots need matplotlib, which is not installed (pip install 'csrve[report]')") from error
    return Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH, layout="constrained")


def rendered(figure: Figure, kind: str = "png") -> bytes:
    """The figure as a PNG or SVG file; the same figure gives the same bytes."""
    import matplotlib

    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it would move things a little with every drawing
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "csrve", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return file.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format that the suffix names."""
    write_bytes(path, rendered(figure, path.suffix.removeprefix(".")))
