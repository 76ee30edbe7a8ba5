"""Trained supernets: each is trained once for its space, data, recipe and seed, then reused.

<cache>/supernets/<key>/
    checkpoint.safetensors   while it trains
    supernet.safetensors     when it is done: weights and validation curve
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import CheckpointError
from nas.progress import Progress
from nas.run.context import Context
from nas.storage import atomic_write, cache_dir, lock
from search_spaces import Architecture
from supernet.supernet import Supernet
from supernet.training.checkpoint import from_bytes, to_bytes
from supernet.training.loop import Checkpoints, Curve
from supernet.training.loop import Progress as Steps
from supernet.training.train import train

CURVE_CHILDREN = 6
"""How many random children the validation curve follows."""


@dataclass(frozen=True)
class TrainedSupernet:
    """Shared weights, the name of their making, and how training went."""

    key: str
    supernet: Supernet
    curve: Curve


def supernet_of(context: Context, console: Progress) -> TrainedSupernet:
    """The supernet that the settings ask for: from the cache, or trained now.

    Raises:
        CheckpointError: a cached file is damaged.
    """
    key = context.supernet_key()
    folder = cache_dir() / "supernets" / key
    final = folder / "supernet.safetensors"
    supernet = Supernet(
        context.whole_space,
        context.data.in_channels,
        context.data.num_classes,
        seed=context.settings.seed,
    ).to(context.device)
    with lock(folder / "lock"):
        if final.exists():
            console.say(f"reusing the supernet trained before ({final})")
            return TrainedSupernet(key, supernet, _load(supernet, final, key))
        curve = _train(context, console, supernet, folder, key)
        weights = {name: p for name, p in supernet.named_parameters()}
        atomic_write(final, to_bytes(weights, {"key": key, "curve": curve}))
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return TrainedSupernet(key, supernet, curve)


def checkpoints_at(path: Path, key: str) -> Checkpoints:
    """Checkpoints kept in one file."""
    return Checkpoints(
        key=key,
        read=lambda: path.read_bytes() if path.exists() else None,
        write=lambda content: atomic_write(path, content),
    )


def _load(supernet: Supernet, path: Path, key: str) -> Curve:
    tensors, description = from_bytes(path.read_bytes(), str(path))
    if description.get("key") != key:
        raise CheckpointError(f"{path} holds another supernet. Delete it to train it again.")
    supernet.load_state_dict(tensors)
    curve: Curve = description["curve"]
    return curve


def _train(
    context: Context, console: Progress, supernet: Supernet, folder: Path, key: str
) -> Curve:
    recipe, space = context.recipe, context.whole_space
    data = context.training_batches(context.settings.seed)
    followed = space.sample(CURVE_CHILDREN, np.random.default_rng(0))
    ends = {
        "largest": [space.decode(space.largest())],
        "smallest": [space.decode(space.smallest())],
        "random": [space.decode(code) for code in followed],
    }

    def validate(net: Supernet) -> dict[str, float]:
        return {name: _mean_accuracy(context, net, children) for name, children in ends.items()}

    steps = data.steps_per_epoch(recipe.batch_size) * recipe.epochs
    count = sum(p.numel() for p in supernet.parameters())
    console.say(f"{recipe.epochs} epochs, {steps} steps of batch {recipe.batch_size}")
    console.say(f"{count / 1e6:.1f} M shared weights for {space.size():.2e} architectures")
    with console.task("training the supernet", steps) as advance:

        def progress(now: Steps) -> None:
            advance(now.step, f"loss {now.loss:.3f}")

        return train(
            supernet,
            data,
            recipe,
            seed=context.settings.seed,
            validate=validate,
            checkpoints=checkpoints_at(folder / "checkpoint.safetensors", key),
            progress=progress,
        )


def _mean_accuracy(context: Context, supernet: Supernet, children: list[Architecture]) -> float:
    return float(np.mean([context.evaluate(supernet, child).accuracy for child in children]))
