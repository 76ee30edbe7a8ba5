"""Trained supernets: each is trained once for its space, data, recipe and seed, then reused.

<cache>/supernets/<key>/
    checkpoint.safetensors   while it trains
    tensorboard/             its curves, if the recipe asks for them
    supernet.safetensors     when it is done: weights and validation curve
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.cluster.connection import Cluster
from nas.cluster.storage import Storage
from nas.cluster.training import train_on
from nas.errors import CheckpointError, SettingsError
from nas.latency.cost import CostTable
from nas.progress import Progress, Silent
from nas.run.context import Context
from nas.run.evaluator import ChildEvaluator, load_supernet
from nas.run.jobs import Worker, shown
from nas.run.scalars import Scalars, scalars_in
from nas.run.start import start_from_donor
from nas.run.supernet_teacher import teacher_of, teaching_key
from nas.run.threads import HelpfulThreads, each_of
from nas.run.work import Work
from nas.search.front_file import read_supernet
from nas.settings import Settings
from nas.storage import atomic_write, atomic_write_json, cache_dir, lock, read_json
from nas.units import format_count, format_size
from search_spaces import Architecture
from supernet.method import ExternalTeacher, Setup
from supernet.randomness import Stream, seeded
from supernet.supernet import Supernet
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import CHECKPOINT, Checkpoints, Curve, TrainingProgress
from supernet.training.parallel.workers import Workers
from supernet.training.train import train

KEY_FILE = "supernet.json"
"""In a run's folder: the key of its supernet."""
CURVE_CHILDREN = 6
"""Number of random children on the validation curve."""


@dataclass(frozen=True)
class TrainedSupernet:
    """Shared weights, their training curve, and the evaluator of their children."""

    supernet: Supernet
    curve: Curve
    evaluator: ChildEvaluator
    key: str
    """The name of the weights: a hash of everything that decided them."""


def supernet_of(
    context: Context,
    console: Progress,
    cluster: Cluster | None = None,
    known: str | None = None,
) -> TrainedSupernet:
    """The supernet that the settings ask for: from the cache, or trained now.

    Args:
        context: The settings' objects.
        console: Shows the progress.
        cluster: Where to train it; None for this process.
        known: The key of the one that a search has evaluated on; no other one is returned.

    Raises:
        CheckpointError: a cached file is damaged, or the known supernet is in the cache no more
            and another one would be trained here.
        SettingsError: curves for TensorBoard are asked for on a cluster.
        TrialError: the training failed on the cluster.
    """
    if cluster is not None and context.training.tensorboard:
        raise SettingsError(
            "tensorboard=true needs a supernet that is trained by this process. Leave out --ray, "
            "or tensorboard=true; the curve is kept with the supernet in any case."
        )
    own = _key(context, cluster)
    key = known or own
    final = _file(key)
    folder, supernet = final.parent, new_supernet(context)
    with lock(folder / "lock", say=console.say):
        if final.exists():
            console.say(f"reusing the supernet trained before ({final})")
        elif key != own:
            raise CheckpointError(
                f"The supernet of this run, {key}, is not in the cache, and here another one "
                "would be trained: torch, the device or the number of workers differ. Go on "
                "where it was trained, or start a new run."
            )
        else:
            _say_training(context, supernet, console)
            if cluster is None:
                content = _train_here(context, console, supernet, folder / CHECKPOINT, key)
            else:
                content = _train_there(context, console, cluster, folder, key)
            atomic_write(final, content)
            (folder / CHECKPOINT).unlink(missing_ok=True)
        curve = load_supernet(supernet, final, key)
    evaluator = ChildEvaluator(supernet, context.evaluation_images)
    return TrainedSupernet(supernet, curve, evaluator, key)


def supernet_of_run(work: Work) -> TrainedSupernet:
    """A run's supernet, the same for as long as the run lasts, on whatever machine it goes on.

    Raises:
        CheckpointError, SettingsError, TrialError: as `supernet_of`.
    """
    path, front, known = work.path / KEY_FILE, work.path / "front.json", None
    if path.exists():
        known = str(read_json(path)["key"])
    elif front.exists():  # of a run from before there was such a file
        known = read_supernet(front)
    trained = supernet_of(work.context, work.console, work.cluster, known)
    atomic_write_json(path, {"key": trained.key})
    return trained


def trained_before(context: Context) -> bool:
    """Whether the cache has the supernet that this process would train."""
    return _file(_key(context, None)).exists()


def _file(key: str) -> Path:
    return cache_dir() / "supernets" / key / "supernet.safetensors"


def new_supernet(context: Context) -> Supernet:
    """The supernet at the start of its training, on the device of this process."""
    supernet = Supernet(context.whole_space, context.data.shape, seed=context.settings.seed)
    return supernet.to(context.device)


@dataclass(frozen=True)
class SupernetJob:
    """The training of a supernet, for the workers of a cluster."""

    settings: Settings
    key: str
    device: str
    apart: int
    """How many workers have children of their own; 1 if all have the same."""

    def __call__(self, worker: Worker) -> bytes:
        """Train; the content of `supernet.safetensors`.

        Raises:
            CheckpointError: this machine has other data, packages or files than the driver.
        """
        context = Context(self.settings)
        context.device = worker.device
        if context.supernet_key(teaching_key(context), self.device, self.apart) != self.key:
            raise CheckpointError(
                f"{platform.node()} would train another supernet than the one that was asked for: "
                "its images, its space or its version of torch differ. Make them equal."
            )
        supernet = new_supernet(context)
        start_from_donor(context, Silent(), supernet)
        curve = train_supernet(
            context,
            supernet,
            teacher_of(context, Silent()),
            checkpoints=worker.checkpoints(self.key),
            progress=worker.progress,
            workers=worker.workers,
        )
        return _content(supernet, self.key, curve)


def checkpoints_at(path: Path, key: str) -> Checkpoints:
    """Checkpoints kept in one file."""
    return Checkpoints(
        key=key,
        read=lambda: path.read_bytes() if path.exists() else None,
        write=lambda content: atomic_write(path, content),
        place=str(path),
    )


def train_supernet(
    context: Context,
    supernet: Supernet,
    teacher: ExternalTeacher | None,
    *,
    checkpoints: Checkpoints,
    progress: Callable[[TrainingProgress], None],
    point: Callable[[Mapping[str, float]], None] | None = None,
    workers: Workers | None = None,
) -> Curve:
    """Train a supernet as the settings say; returns its validation curve."""
    setup = Setup(supernet, _macs(context), context.donor_architecture, teacher)
    sampler = context.training.sampler.make(setup)
    with seeded(context.settings.seed, Stream.SUPERVISION):
        supervision = context.training.supervision.make(setup)
    groups = followed_children(context)
    followed = [(name, child) for name, group in groups.items() for child in group]

    def validate(net: Supernet) -> dict[str, float]:
        children = [child for _, child in followed]
        found = each_of(children, lambda child: _accuracy(context, net, child), context.device)
        by_name: dict[str, list[float]] = {}
        for (name, _), accuracy in zip(followed, found, strict=True):
            by_name.setdefault(name, []).append(accuracy)
        return {name: float(np.mean(accuracies)) for name, accuracies in by_name.items()}

    return train(
        supernet,
        context.training_batches(context.settings.seed),
        context.recipe,
        sampler,
        supervision,
        seed=context.settings.seed,
        validate=validate,
        checkpoints=checkpoints,
        progress=progress,
        point=point,
        workers=workers,
    )


def _key(context: Context, cluster: Cluster | None) -> str:
    teaching = teaching_key(context)
    if cluster is None:
        return context.supernet_key(teaching)
    return context.supernet_key(teaching, cluster.choice.device, cluster.workers)


def _train_here(
    context: Context, console: Progress, supernet: Supernet, checkpoint: Path, key: str
) -> bytes:
    asked = context.training.tensorboard
    scalars = scalars_in(checkpoint.parent / "tensorboard") if asked else Scalars()
    start_from_donor(context, console, supernet)
    teacher = teacher_of(context, console)
    threads = HelpfulThreads()
    with console.task("training the supernet", _steps(context)) as advance, scalars:
        show = shown(console, advance)

        def progress(now: TrainingProgress) -> None:
            show(now)
            scalars.progress(now)
            threads.look(console)

        curve = train_supernet(
            context,
            supernet,
            teacher,
            checkpoints=checkpoints_at(checkpoint, key),
            progress=progress,
            point=scalars.point,
        )
    return _content(supernet, key, curve)


def _train_there(
    context: Context, console: Progress, cluster: Cluster, folder: Path, key: str
) -> bytes:
    apart = cluster.workers if context.training.own_children else 1
    return train_on(
        cluster,
        SupernetJob(context.settings, key, cluster.choice.device, apart),
        name=f"supernet-{key}",
        title="training the supernet",
        storage=Storage.at(cluster.choice.storage or folder),
        console=console,
        apart=apart > 1,
    )


def _content(supernet: Supernet, key: str, curve: Curve) -> bytes:
    weights = {name: p for name, p in supernet.named_parameters()}
    return to_bytes(weights, {"key": key, "curve": curve})


def _say_training(context: Context, supernet: Supernet, console: Progress) -> None:
    recipe, size = context.recipe, context.whole_space.size()
    count = sum(p.numel() for p in supernet.parameters())
    console.say(f"{recipe.epochs} epochs, {_steps(context)} steps of batch {recipe.batch_size}")
    console.say(f"{format_count(count)} shared weights for {format_size(size)} architectures")


def _steps(context: Context) -> int:
    recipe, data = context.recipe, context.training_batches(context.settings.seed)
    return data.steps_per_epoch(recipe.batch_size) * recipe.epochs


def followed_children(context: Context) -> dict[str, list[Architecture]]:
    """The children whose mean accuracy the validation curve shows.

    Families of the largest and the smallest are drawn like those of random children, so that the
    curve compares sizes and not families.
    """
    space, donor = context.whole_space, context.donor_architecture
    rng = np.random.default_rng(0)
    groups = {
        "random": space.sample(CURVE_CHILDREN, rng),
        "largest": np.stack([space.largest(rng) for _ in range(CURVE_CHILDREN)]),
        "smallest": np.stack([space.smallest(rng) for _ in range(CURVE_CHILDREN)]),
    }
    if donor is not None:
        groups["largest"] = space.encode(donor)[None]
    return {
        name: [space.decode(code) for code in np.unique(codes, axis=0)]
        for name, codes in groups.items()
    }


def _accuracy(context: Context, supernet: Supernet, child: Architecture) -> float:
    return context.evaluation_images.evaluate(supernet, child).accuracy


def _macs(context: Context) -> Callable[[NDArray[np.integer]], NDArray[np.float64]]:
    """Multiply-accumulates of codes; the table is made when they are first asked for."""

    @cache
    def table() -> CostTable:
        data = context.data
        return CostTable(context.whole_space, data.shape)

    return lambda codes: table().macs(codes)
