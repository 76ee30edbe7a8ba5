"""`nas measure`: profile the machine at hand and fit its latency predictor."""

from __future__ import annotations

from nas.cli import options
from nas.cli.values import checked_hardware


def measure(
    hardware: options.Hardware = "cpu",
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    layout: options.Layout = None,
    batch_size: options.BatchSize = None,
    resolution: options.Resolution = None,
    threads: options.Threads = None,
    space: options.Space = "hybrid-tiny",
    data: options.Data = "digits",
    seed: options.Seed = 0,
    json: options.Json = False,
) -> None:
    """Measure what networks of a space take here; a search does it by itself when it must.

    The profile is cached with its conditions. The data decide only how many channels and
    classes the networks have. Close other programs first: their load is measured too.

    Example: nas measure --hardware cpu --threads 2 --space hybrid-cifar
    """
    from nas.settings import Settings

    settings = Settings(
        space=space,
        data=data,
        seed=seed,
        hardware=checked_hardware(hardware),
        runtime=runtime,
        precision=precision,
        layout=layout,
        batch_size=batch_size,
        resolution=resolution,
        threads=threads,
    )

    from nas import commands
    from nas.cli.console import show_outcome, working

    with working() as console:
        outcome = commands.measure(settings, console=console)
    show_outcome(outcome, json)
