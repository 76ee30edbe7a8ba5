"""`nas report`: the pictures and the page of a run."""

from __future__ import annotations

from nas.cli import options


def report(run: options.Run, json: options.Json = False) -> None:
    """Draw a run's figures and write its report, one HTML page that needs no other file.

    Example: nas report results/my-run
    """
    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        outcome = commands.report(run, console=console)
    show_outcome(outcome, json)
