"""How all figures look: one palette that colour-blind people can tell apart, one size.

Palette: Okabe and Ito 2008, https://jfly.uni-koeln.de/color/. Figures are drawn without pyplot,
which keeps a global state and may look for a display.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
INK, GREY, FAINT, LIGHT = "#222222", "#8A8A8A", "#B5B5B5", "#D9D9D9"

DPI = 150


def new_figure(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure with one plot, sizes in inches."""
    figure, (axes,) = new_figures(width, height, (1.0,))
    return figure, axes


def new_figures(
    width: float, height: float, heights: Sequence[float]
) -> tuple[Figure, tuple[Axes, ...]]:
    """A figure with plots below each other that share the axis across.

    Args:
        width: Of the figure in inches.
        height: The same.
        heights: Of the plots, in any unit.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    plots = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    for axes in plots[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, tuple(plots[:, 0])


def png(figure: Figure) -> bytes:
    """The figure as a PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with mpl.rc_context({"font.size": 10}):
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels, from a PNG's header."""
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def percent(axes: Axes, across: bool = False) -> None:
    """Show shares between 0 and 1 as per cent, on the vertical axis or on the one across."""
    axis = axes.xaxis if across else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.4g}"))
