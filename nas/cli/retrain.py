"""`nas retrain`: train networks of a front to the end, and score the test split once."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import options


def retrain(
    run: options.Run,
    top: Annotated[
        int,
        typer.Option(min=1, help="How many networks for each budget, the most accurate first."),
    ] = 1,
    epochs: options.RetrainEpochs = None,
    from_scratch: options.FromScratch = False,
    fine_tune: options.FineTune = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of every random choice.", show_default="the run's"),
    ] = None,
    json: options.Json = False,
) -> None:
    """Train the best networks of a run's front to the end, and score them on the test images.

    Example: nas retrain results/my-run --top 3 --from-scratch
    """
    from nas.cli.console import show_result, working
    from nas.commands import steps as commands

    with working() as console:
        result = commands.retrain(
            run,
            top=top,
            from_scratch=from_scratch,
            epochs=epochs,
            fine_tune=fine_tune,
            seed=seed,
            console=console,
        )
    show_result(result, json)
