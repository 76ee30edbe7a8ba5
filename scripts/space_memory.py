"""The most memory that training a supernet of a space takes.

    python scripts/space_memory.py hybrid-224
    python scripts/space_memory.py hybrid-wide-32 --batch-size 16 --evaluated 4

Trains for a few steps on random images, by the recipe that a run has by default: each step the
smallest child, the largest and random ones, so the largest is in every step. Then, if asked,
random children run on a batch as large as an evaluation's. The figures are the most resident
memory that this process has had, programs included, after each step. Freed memory is kept, as in
the commands of `nas` that train.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
import results_file
import torch

from nas.data.batches import Batch
from nas.environment import keep_memory, keep_to_usable_cpus
from nas.run.evaluator import batch_size_at
from nas.run.recipe import read_recipe
from search_spaces import load_space
from search_spaces.data_shape import DataShape
from supernet import Supernet
from supernet.method import Setup
from supernet.training.train import train


class RandomImages:
    """Other images and classes at each step."""

    def __init__(self, classes: int, steps: int) -> None:
        self._classes, self._steps = classes, steps

    def steps_per_epoch(self, batch_size: int) -> int:
        """As many as asked for."""
        return self._steps

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """Drawn from the step's number."""
        draw = torch.Generator().manual_seed(step)
        images = torch.randn((batch_size, 3, resolution, resolution), generator=draw)
        drawn = torch.randint(self._classes, (batch_size,), generator=draw)
        return Batch(
            images.contiguous(memory_format=torch.channels_last),
            torch.nn.functional.one_hot(drawn, self._classes).float(),
            torch.arange(batch_size),
        )


def main() -> None:
    """Train, evaluate, and write the peaks."""
    arguments = _arguments()
    keep_to_usable_cpus()
    keep_memory()
    space, shape = load_space(arguments.space), DataShape(3, arguments.classes)
    before = _peak()
    supernet = Supernet(space, shape)
    chosen = read_recipe({})
    recipe = chosen.recipe.model_copy(update={"batch_size": arguments.batch_size, "epochs": 1})
    setup = Setup(supernet, lambda codes: np.zeros(len(codes)))
    methods = chosen.sampler.make(setup), chosen.supervision.make(setup)
    images, peaks = RandomImages(shape.classes, arguments.steps), []
    curve = train(supernet, images, recipe, *methods, progress=lambda _: peaks.append(_peak()))
    figures = {
        "before the supernet, GiB": before,
        "peak after each step, GiB": peaks,
        "loss": curve[-1]["loss"],
        "shared weights, M": round(sum(p.numel() for p in supernet.parameters()) / 1e6, 1),
    }
    for code in space.sample(arguments.evaluated, np.random.default_rng(0)):
        child = space.decode(code)
        size = batch_size_at(child.resolution), 3, child.resolution, child.resolution
        with torch.inference_mode():
            supernet.extract(child).eval()(torch.randn(size))
        figures["peak after evaluating, GiB"] = _peak()
    results_file.write("spaces", f"memory-{space.name}-batch{recipe.batch_size}", figures)


def _peak() -> float:
    """GiB; the system counts in KiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--evaluated", type=int, default=0, help="children, in large batches")
    return parser.parse_args()


if __name__ == "__main__":
    main()
