"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TARGET = "The target: what a latency is a latency of"
BUDGET = "Budgets: all of them hold at once"
_TRAINING = "Training"

Run = Annotated[Path, typer.Argument(help="A run's folder, or its name under results/.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")
]
Seed = Annotated[
    int, typer.Option(min=0, help="Decides every random choice; same seed, same result.")
]
MaxParams = Annotated[
    str | None,
    typer.Option(help="Most parameters, such as 2M.", metavar="COUNT", rich_help_panel=BUDGET),
]
MaxMacs = Annotated[
    str | None,
    typer.Option(
        help="Most multiply-adds per image, such as 50M.", metavar="COUNT", rich_help_panel=BUDGET
    ),
]
Space = Annotated[
    str, typer.Option(help="A named space (see `nas spaces`) or a YAML file.", metavar="NAME|FILE")
]
Data = Annotated[
    str,
    typer.Option(
        help="digits, fashion-mnist:DIR, cifar10:DIR, folder:DIR (a folder per class), npz:FILE.",
        metavar="SPEC",
    ),
]

Hardware = Annotated[
    str, typer.Option(help="A device (see `nas hardware`).", rich_help_panel=TARGET)
]
Runtime = Annotated[
    str | None, typer.Option(help="How it is run, such as eager.", rich_help_panel=TARGET)
]
Precision = Annotated[
    str | None, typer.Option(help="Number format, such as float32.", rich_help_panel=TARGET)
]
Layout = Annotated[
    str | None,
    typer.Option(help="Memory layout, such as channels_last.", rich_help_panel=TARGET),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images per batch.", rich_help_panel=TARGET)
]
Resolution = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Input side in pixels; restricts the space to it.",
        show_default="the architecture's",
        rich_help_panel=TARGET,
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads to run with.", rich_help_panel=TARGET)
]
Confidence = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=0.98,
        help="Coverage of the interval whose upper end a latency budget is checked against.",
        rich_help_panel=TARGET,
    ),
]

Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of the supernet.",
        show_default="the recipe's",
        rich_help_panel=_TRAINING,
    ),
]
Recipe = Annotated[
    list[str] | None,
    typer.Option(
        help="Change how the supernet is trained, such as learning_rate=0.002, "
        "sampler.random_children=3 or supervision=labels; repeat for more.",
        metavar="KEY=VALUE",
        rich_help_panel=_TRAINING,
    ),
]
RetrainEpochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs of each retrained network.",
        show_default="the recipe's",
        rich_help_panel=_TRAINING,
    ),
]
FromScratch = Annotated[
    bool,
    typer.Option(
        "--from-scratch",
        help="Retrain from new weights, not from the supernet's.",
        rich_help_panel=_TRAINING,
    ),
]
