"""Trained supernets: each is trained once for its space, data, recipe and seed, then reused.

<cache>/supernets/<key>/
    checkpoint.safetensors   while it trains
    supernet.safetensors     when it is done: weights and validation curve
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nas.latency.cost import CostTable
from nas.progress import Progress
from nas.run.context import Context
from nas.run.evaluator import ChildEvaluator, Loaded, load_supernet
from nas.run.teaching import teacher_of, teaching_key
from nas.storage import atomic_write, cache_dir, lock
from search_spaces import Architecture
from supernet.donor import STEPS, adopt, new_choices, teach_new_choices
from supernet.method import Setup
from supernet.ordering import sort_channels
from supernet.randomness import Stream, seeded
from supernet.supernet import Supernet
from supernet.training.checkpoint import to_bytes
from supernet.training.loop import Checkpoints, Curve
from supernet.training.loop import Progress as Steps
from supernet.training.train import train

CURVE_CHILDREN = 6
"""Number of random children on the validation curve."""


@dataclass(frozen=True)
class TrainedSupernet:
    """Shared weights, their training curve, and the evaluator of their children."""

    supernet: Supernet
    curve: Curve
    evaluator: ChildEvaluator

    @property
    def key(self) -> str:
        """The name of the weights: a hash of everything that decided them."""
        return self.evaluator.key


def supernet_of(context: Context, console: Progress) -> TrainedSupernet:
    """The supernet that the settings ask for: from the cache, or trained now.

    Raises:
        CheckpointError: a cached file is damaged.
    """
    key, data = context.supernet_key(teaching_key(context)), context.data
    folder = cache_dir() / "supernets" / key
    final = folder / "supernet.safetensors"
    seed = context.settings.seed
    supernet = Supernet(context.whole_space, data.shape, seed=seed)
    supernet.to(context.device)
    with lock(folder / "lock"):
        if final.exists():
            console.say(f"reusing the supernet trained before ({final})")
            curve = load_supernet(supernet, final, key)
        else:
            curve = _train(context, console, supernet, checkpoints_at(_checkpoint(folder), key))
            weights = {name: p for name, p in supernet.named_parameters()}
            atomic_write(final, to_bytes(weights, {"key": key, "curve": curve}))
            _checkpoint(folder).unlink(missing_ok=True)
    return TrainedSupernet(supernet, curve, evaluator_of(context, supernet, final, key))


def checkpoints_at(path: Path, key: str) -> Checkpoints:
    """Checkpoints kept in one file."""
    return Checkpoints(
        key=key,
        read=lambda: path.read_bytes() if path.exists() else None,
        write=lambda content: atomic_write(path, content),
    )


def _checkpoint(folder: Path) -> Path:
    return folder / "checkpoint.safetensors"


def evaluator_of(context: Context, supernet: Supernet, weights: Path, key: str) -> ChildEvaluator:
    """What judges the children of a trained supernet, here and in other processes."""
    settings = context.settings
    return ChildEvaluator(
        space=context.chosen_space.name,
        data=settings.data,
        seed=settings.seed,
        data_id=context.data.id,
        weights=weights,
        key=key,
        device=str(context.device),
        validation=context.judged_by,
        reading=context.reading,
        loaded=Loaded(supernet, context.evaluation_images),
    )


def _train(
    context: Context, console: Progress, supernet: Supernet, checkpoints: Checkpoints
) -> Curve:
    recipe, seed = context.recipe, context.settings.seed
    data = context.training_batches(seed)
    start_from_donor(context, console, supernet)
    teacher = teacher_of(context, console)
    setup = Setup(supernet, _macs(context), context.donor_architecture, teacher)
    sampler = context.training.sampler.make(setup)
    with seeded(seed, Stream.SUPERVISION):
        supervision = context.training.supervision.make(setup)
    followed = _followed(context)

    def validate(net: Supernet) -> dict[str, float]:
        return {
            name: float(np.mean([_accuracy(context, net, child) for child in children]))
            for name, children in followed.items()
        }

    steps = data.steps_per_epoch(recipe.batch_size) * recipe.epochs
    count = sum(p.numel() for p in supernet.parameters())
    console.say(f"{recipe.epochs} epochs, {steps} steps of batch {recipe.batch_size}")
    size = context.whole_space.size()
    console.say(f"{count / 1e6:.1f} M shared weights for {size:.2e} architectures")
    with console.task("training the supernet", steps) as advance:

        def progress(now: Steps) -> None:
            advance(now.step, f"loss {now.loss:.3f}")

        return train(
            supernet,
            data,
            recipe,
            sampler,
            supervision,
            seed=seed,
            validate=validate,
            checkpoints=checkpoints,
            progress=progress,
        )


def start_from_donor(context: Context, console: Progress, supernet: Supernet) -> None:
    """Give a new supernet the donor's weights; teach what the donor has not. Nothing without one.

    A training that continues from a checkpoint overwrites them, so nothing is lost by it.
    """
    donor, architecture, seed = context.donor, context.donor_architecture, context.settings.seed
    if donor is None or architecture is None:
        return
    console.say(f"weights of {donor.published.name} from {donor.source}; licence: {donor.licence}")
    adapts = donor.adapts(supernet.data_shape.channels)
    if adapts:
        console.say(adapts)
    network = donor.network(architecture.resolution, supernet.data_shape, seed)
    sort_channels(network)
    adopt(supernet, network.to(context.device))
    batches, size = context.training_batches(seed), context.recipe.batch_size

    def images(step: int) -> Tensor:
        return batches.batch(step, size, architecture.resolution).images.to(context.device)

    if new_choices(supernet, architecture):
        with console.task("teaching what the donor has not", STEPS) as advance:
            losses = teach_new_choices(
                supernet, architecture, images, progress=lambda n: advance(n, "")
            )
        mean = sum(losses.values()) / len(losses)
        console.say(
            f"{len(losses)} choices that {donor.published.name} has not learnt from its blocks: "
            f"{1 - mean:.0%} of what those do"
        )


def _followed(context: Context) -> dict[str, list[Architecture]]:
    """The children whose accuracy the validation curve shows."""
    space = context.whole_space
    drawn = space.sample(CURVE_CHILDREN, np.random.default_rng(0))
    return {
        "largest": [context.donor_architecture or space.decode(space.largest())],
        "smallest": [space.decode(space.smallest())],
        "random": [space.decode(code) for code in drawn],
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
