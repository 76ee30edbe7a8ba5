"""`nas ls`: the runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import options


def ls(
    folder: Annotated[Path, typer.Argument(help="The folder with the runs.")] = Path("results"),
    json: options.Json = False,
) -> None:
    """List the runs in a folder and how far each has come.

    Example: nas ls
    """
    from nas.cli.console import show_json, show_lines, show_table
    from nas.errors import NasError
    from nas.run.folder import list_runs, read_run
    from nas.run.steps import STEPS
    from nas.units import format_ms

    runs, damaged = [], {}
    for path in list_runs(folder):
        try:
            runs.append(read_run(path))
        except NasError as error:  # the others are listed nevertheless
            damaged[path] = str(error)
    if json:
        unread = [{"path": str(path), "error": error} for path, error in damaged.items()]
        show_json([*(run.to_dict() for run in runs), *unread])
    elif not runs and not damaged:
        show_lines([f"No runs in '{folder}'. Start one: nas search --hardware cpu --budget 5ms"])
    else:
        rows = [
            (
                run.path.name,
                " + ".join(target.hardware for target in run.settings.targets),
                " + ".join(
                    ", ".join(map(format_ms, target.budgets_ms)) or "-"
                    for target in run.settings.targets
                ),
                run.settings.data,
                "complete" if run.complete else f"{len(run.steps)} of {len(STEPS)} steps",
            )
            for run in runs
        ]
        rows += [(path.name, "-", "-", "-", "cannot be read") for path in damaged]
        show_table(f"Runs in {folder}", ("run", "hardware", "budget", "data", "state"), rows)
        show_lines(list(damaged.values()))
