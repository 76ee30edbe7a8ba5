"""Training of a supernet: each step runs a few children and updates the weights they share.

for each step:    children = those that the sampler chooses
                  losses   = those that the supervision computes
                  update     the weights that any of them uses
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supernet.batches import TrainingData
from supernet.sampling import Sampler
from supernet.supernet import Supernet
from supernet.supervision import Supervision
from supernet.training.loop import Checkpoints, Curve, TrainingProgress, run_steps
from supernet.training.parallel.workers import Workers
from supernet.training.recipe import Recipe
from supernet.training.teaching import Teaching


def train(
    supernet: Supernet,
    data: TrainingData,
    recipe: Recipe,
    sampler: Sampler,
    supervision: Supervision,
    *,
    seed: int = 0,
    validate: Callable[[Supernet], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    point: Callable[[Mapping[str, float]], None] | None = None,
    workers: Workers | None = None,
) -> Curve:
    """Train the shared weights in place; at the end they are their moving averages.

    Args:
        supernet: The supernet to train.
        data: Batches of training images.
        recipe: Number of epochs, batch size and rates.
        sampler: Chooses the children of each step.
        supervision: Computes their losses.
        seed: Decides the children and stochastic depth.
        validate: Called with the averaged weights after each of about 20 epochs.
        checkpoints: Reads the last checkpoint and writes new ones.
        progress: Called after each step.
        point: Called with each new entry of the curve, by every worker.
        workers: The processes that share the training; this one alone by default.

    Returns:
        One entry per validated epoch: `epoch`, the mean of the steps' first `loss`, those of the
        cosines between gradients if the recipe asks for them, the results of `validate`.
    """
    teaching = Teaching(
        supernet,
        lambda x, child, wrap: supernet.maps(x, child, drop_path_rate=recipe.drop_path, wrap=wrap),
        data,
        recipe,
        sampler,
        supervision,
        seed,
        workers,
    )
    return run_steps(
        teaching,
        recipe,
        validate=None if validate is None else lambda: validate(supernet),
        checkpoints=checkpoints,
        progress=progress,
        point=point,
    )
