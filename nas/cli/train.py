"""`nas train`: the supernet of a space on some data, once."""

from __future__ import annotations

from nas.cli import options
from nas.cli.values import ray_choice, read_options, recipe_values, sides


def train(
    space: options.SpaceForImages = None,
    data: options.Data = "digits",
    seed: options.Seed = 0,
    pretrained: options.Pretrained = None,
    teacher: options.Teacher = None,
    unlabelled: options.Unlabelled = None,
    resolutions: options.Resolutions = None,
    epochs: options.Epochs = None,
    recipe: options.Recipe = None,
    mirror: options.Mirror = None,
    splits: options.Splits = None,
    fit: options.FitTo = "crop",
    skip_unreadable: options.SkipUnreadable = False,
    layout_of_arrays: options.LayoutOfArrays = None,
    json: options.Json = False,
    ray: options.Ray = None,
    workers: options.Workers = None,
    worker_cpus: options.WorkerCpus = None,
    worker_gpus: options.WorkerGpus = None,
    storage: options.Storage = None,
) -> None:
    """Train the supernet of a space and data; later searches find it in the cache.

    Example: nas train --space hybrid-cifar --data cifar10:data/cifar10 --epochs 50
    """
    from nas.settings import Settings

    cluster = ray_choice(ray, workers, worker_cpus, worker_gpus, storage)
    settings = Settings(
        space=space,
        data=data,
        reading=read_options(splits, fit, skip_unreadable, layout_of_arrays),
        seed=seed,
        resolutions=sides(resolutions),
        pretrained=pretrained,
        teacher=teacher,
        unlabelled=unlabelled,
        epochs=epochs,
        recipe=recipe_values(recipe, mirror),
    )

    from nas.cli.console import show_outcome, working
    from nas.commands import steps as commands

    with working() as console:
        outcome = commands.train(settings, console=console, ray=cluster)
    show_outcome(outcome, json)
