"""`nas resume`: go on with a run that was interrupted."""

from __future__ import annotations

from nas.cli import options
from nas.cli.values import ray_choice


def resume(
    run: options.Run,
    json: options.Json = False,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    journal: options.Journal = None,
    storage: options.Storage = None,
) -> None:
    """Continue a run from where it stopped, with the settings it was started with.

    The result is the same as without the interruption, and with or without a cluster. A finished
    run is left as it is.

    Example: nas resume results/my-run
    """
    from nas import pipeline
    from nas.cli.console import show_result, working

    cluster = ray_choice(ray, workers, worker_cpus, worker_gpus, storage)
    with working() as console:
        result = pipeline.resume(run, console=console, ray=cluster, journal=journal)
    show_result(result, json)
