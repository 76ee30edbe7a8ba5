"""The names of the pipeline's steps, in order. Imports little, so that `--help` is quick."""

from __future__ import annotations

from typing import Literal, get_args

Step = Literal[
    "space",
    "latency",
    "supernet",
    "search",
    "verify",
    "measure",
    "retrain",
    "export",
    "baselines",
    "compare",
    "report",
]

STEPS: tuple[Step, ...] = get_args(Step)
