"""A drawing of an architecture: one row per stage, one box per block.

stage 1       [    depthwise    ]  [    attention    ]
12 x 12       [    kernel 3     ]  [   head_dim 16   ]
32 channels   [       mlp       ]
[     ratio 2     ]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from nas.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
    png,
)
from search_spaces.architecture import Architecture, Choice
from search_spaces.data_shape import DataShape
from search_spaces.parts import parts_of

_COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
_BOX, _GAP, _LEFT = 1.9, 0.15, -1.75


def architecture(chosen: Architecture | None) -> bytes | None:
    """Stages from top to bottom, their blocks from left to right; None without an architecture."""
    if chosen is None:
        return None
    most = max(len(stage.blocks) for stage in chosen.stages)
    rows = len(chosen.stages) + 2
    width = _BOX * most + _GAP * (most - 1)
    figure, axes = new_figure(max(6.0, 1.15 * (width - _LEFT)), 1.0 * rows)
    axes.set_axis_off()
    axes.set_xlim(_LEFT, max(width, 6.0 / 1.15 + _LEFT) + 0.02)
    axes.set_ylim(-rows, 0)
    parts = parts_of(chosen, DataShape())
    stem = parts["stem"]
    _row_label(axes, 0, "stem", f"{stem.out_size} x {stem.out_size}\n{stem.out_dim} channels")
    _box(axes, 0, 0, [chosen.stem], GREY)
    kinds = [block.mixer.kind for stage in chosen.stages for block in stage.blocks]
    order = list(dict.fromkeys(kinds))
    for i, stage in enumerate(chosen.stages):
        size = parts[f"stages.{i}.blocks.0.mixer"].out_size
        down = "" if stage.downsampling is None else f"\n{stage.downsampling.kind} downsampling"
        label = f"{size} x {size}\n{stage.width} channels{down}"
        _row_label(axes, i + 1, f"stage {i + 1}", label)
        for j, block in enumerate(stage.blocks):
            choices = [block.mixer]
            if block.channel_mixer.kind != "none":
                choices.append(block.channel_mixer)
            color = _COLORS[order.index(block.mixer.kind) % len(_COLORS)]
            _box(axes, i + 1, j, choices, color)
    _row_label(axes, rows - 1, "head", "")
    _box(axes, rows - 1, 0, [chosen.head], GREY)
    return png(figure)


def describe(chosen: Architecture) -> str:
    """The drawing in words, for those who do not see it."""
    stages = [
        f"stage {i}, {stage.width} channels: "
        + ", ".join(f"{block.mixer} with {block.channel_mixer}" for block in stage.blocks)
        for i, stage in enumerate(chosen.stages, start=1)
    ]
    return f"Images of {chosen.resolution} pixels; stem {chosen.stem}; " + "; ".join(stages) + "."


def _options(choice: Choice) -> str:
    """The options in a few words; what is switched off or 'none' is left out."""
    options = choice.to_dict()[choice.kind]
    return ", ".join(
        name if value is True else f"{name} {value:g}" if isinstance(value, float)
        else f"{name} {value}"
        for name, value in options.items()
        if value is not False and value != "none"
    )  # fmt: skip


def _row_label(axes: Axes, row: int, title: str, text: str) -> None:
    axes.text(_LEFT, -row - 0.2, title, va="center", fontsize=10, color=INK, weight="bold")
    axes.text(_LEFT, -row - 0.34, text, va="top", fontsize=8, color=INK)


def _box(axes: Axes, row: int, column: int, choices: Sequence[Choice], color: str) -> None:
    x, y, height = column * (_BOX + _GAP), -row - 0.92, 0.84
    look: dict[str, Any] = {"facecolor": color + "33", "edgecolor": color, "lw": 1.4}
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x, y), _BOX, height, boxstyle=style, **look))
    share = height / len(choices)
    for i, choice in enumerate(choices):
        middle, centre = y + height - share * (i + 0.5), x + _BOX / 2
        options = _options(choice)
        up = 0.085 if options else 0.0
        name = choice.kind.replace("_", " ")
        axes.text(centre, middle + up, name, ha="center", va="center", fontsize=9, color=INK)
        axes.text(centre, middle - 0.095, options, ha="center", va="center", fontsize=7, color=INK)
