"""`nas resume`: go on with a run that was interrupted."""

from __future__ import annotations

from nas.cli import options


def resume(run: options.Run, json: options.Json = False) -> None:
    """Continue a run from where it stopped, with the settings it was started with.

    The result is the same as without the interruption. A finished run is left as it is.

    Example: nas resume results/my-run
    """
    from nas import pipeline
    from nas.cli.console import show_result, working

    with working() as console:
        result = pipeline.resume(run, console=console)
    show_result(result, json)
