"""Whether a supernet's large children are better than its small ones, and what each family gives.

    python scripts/supernet_health.py --data digits --seeds 3
    python scripts/supernet_health.py --data fashion-mnist:DIR --images 6000

Each way trains a supernet as `nas search` does, once for each seed. Test accuracies with shared
weights, in per cent:

    largest, smallest      of the space's reference families
    largest_drawn, ...     mean of 8 whose families are drawn, each block's on its own
    random                 mean of 100 children
    alike_FAMILY           the largest child whose blocks all have this channel mixer

Rows are kept as they come, so that the script can be continued and its parts can run side by side.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import drawn_images
import numpy as np
import results_file
import torch
from kept_rows import Rows, add_ways
from supernet_work import train_as_set

from nas.data.batches import EvalBatches
from nas.latency.cost import CostTable
from nas.run import supernets
from nas.run.context import Context
from nas.run.evaluator import batch_size_at
from nas.search.protocol import Codes
from nas.settings import Settings
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.method import Setup
from supernet.tree import evaluate_children

DRAWN, RANDOM = 8, 100
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "each-block-draws": {"sampler.alike": 0.0},
    "always-alike": {"sampler.alike": 1.0},
    "batch-64": {"batch_size": 64},
    "batch-64-each-block-draws": {"batch_size": 64, "sampler.alike": 0.0},
}
"""Changes to the recipe; the number of images stays as it is."""


def main() -> None:
    """Train what is missing, then write the table of what is there."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    name = f"health-{asked.space}-{asked.data.partition(':')[0]}"
    if asked.images is not None:
        asked.data = _drawn(asked)
    rows = Rows(results_file.RESULTS / "supernet" / f"{name}.jsonl", ("way",))
    for way, seed in rows.missing(asked):
        rows.add({"way": way, "seed": seed, **_row(asked, WAYS[way], seed)})
    figures = {key[0]: _mean(found) for key, found in rows.groups()}
    results_file.write("supernet", name, figures)


def _drawn(asked: argparse.Namespace) -> str:
    """Some of the images, in an archive that is drawn once."""
    path = asked.folder / f"{asked.images}.npz"
    drawn_images.draw(asked.data, asked.images, 0, path, validation=2000)
    return f"npz:{path}"


def _row(asked: argparse.Namespace, recipe: dict[str, Any], seed: int) -> dict[str, Any]:
    usual = Context(Settings(data=asked.data, space=asked.space))
    recipe = {"epochs": usual.recipe.epochs, **recipe}
    context = Context(Settings(data=asked.data, space=asked.space, seed=seed, recipe=recipe))
    supernet, begun = supernets.new_supernet(context), time.process_time()
    macs = CostTable(context.whole_space, context.data.shape).macs
    train_as_set(context, Setup(supernet, macs, context.donor_architecture))
    seconds = time.process_time() - begun
    groups = _groups(context.whole_space, np.random.default_rng(0))
    scores = {name: _accuracy(context, supernet, codes) for name, codes in groups.items()}
    return {**scores, "training_cpu_s": round(seconds)}


def _groups(space: SearchSpace, rng: np.random.Generator) -> dict[str, Codes]:
    """The children that are judged together, by what they are."""
    groups = {
        "largest": space.largest()[None],
        "largest_drawn": np.stack([space.largest(rng) for _ in range(DRAWN)]),
        "random": space.sample(RANDOM, rng),
        "smallest": space.smallest()[None],
        "smallest_drawn": np.stack([space.smallest(rng) for _ in range(DRAWN)]),
    }
    kinds = {k for gene in space.genes if gene.role == "channel_mixer" for k in gene.kinds}
    return groups | {f"alike_{kind}": _alike(space, kind)[None] for kind in sorted(kinds)}


def _alike(space: SearchSpace, kind: str) -> Codes:
    """The largest child with one channel mixer in all blocks that offer it."""
    code = space.largest().copy()
    for i, gene in enumerate(space.genes):
        if gene.role == "channel_mixer" and kind in gene.kinds:
            first = {other: float(other != kind) for other in gene.kinds}
            code[i] = gene.extreme(kind != "none", first)
    alike: Codes = space.canonical(code[None])[0]
    return alike


def _accuracy(context: Context, supernet: Supernet, codes: Iterable[np.ndarray]) -> float:
    """The mean on the test images, in per cent."""
    batches = EvalBatches(context.dataset.open_test(), context.data.normalisation)
    found = evaluate_children(
        supernet,
        [context.whole_space.decode(code) for code in codes],
        lambda side: batches.batches(side, batch_size_at(side)),
        context.evaluation_images.calibration,
    )
    return round(100 * float(np.mean([each.accuracy for each in found])), 2)


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [key for key in rows[0] if key not in ("way", "seed", "device")]
    mean = {key: round(float(np.mean([row[key] for row in rows])), 1) for key in scores}
    return {**mean, "seeds": sorted(row["seed"] for row in rows)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, help="for training; all by default")
    parser.add_argument("--folder", type=Path, default=Path(), help="of the images drawn")
    parser.add_argument("--space", default="hybrid-tiny")
    add_ways(parser, WAYS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
