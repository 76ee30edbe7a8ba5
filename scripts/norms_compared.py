"""A space with batch norm beside the same space with layer norm: its supernet, and networks alone.

    python scripts/norms_compared.py --data digits --epochs 23
    python scripts/norms_compared.py --data cifar10:DIR --images 10000 --folder DIR --epochs 3

Test accuracies in per cent, with shared weights: the largest and the smallest child, the means of
8 largest and 8 smallest ones whose families are drawn, and of 24 random ones. `alone` are random
children that are trained alone, from new weights, on as many images as the supernet sees in one
child. Rows are kept as they come, so that the script can be continued.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import drawn_images
import numpy as np
import results_file
import torch
from kept_rows import Rows
from supernet_work import train_as_set

from nas.data.batches import EvalBatches
from nas.latency.cost import CostTable
from nas.retrain import default_recipe, fresh_network, retrain, score_test
from nas.run.context import Context
from nas.run.evaluator import batch_size_at
from nas.search.protocol import Codes
from nas.settings import Settings
from search_spaces import load_space
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.method import Setup
from supernet.tree import evaluate_children

NORMS = ("batch", "layer")
DRAWN, RANDOM = 8, 24


def main() -> None:
    """Train what is missing, then write the table of what is there."""
    asked = _arguments()
    torch.set_num_threads(1)
    name = f"norms-{asked.space}-{asked.data.partition(':')[0]}-{asked.epochs}epochs"
    if asked.images is not None:
        path = asked.folder / f"{asked.images}.npz"
        drawn_images.draw(asked.data, asked.images, 0, path, validation=2000)
        asked.data = f"npz:{path}"
    rows = Rows(results_file.RESULTS / "supernet" / f"{name}.jsonl", ("norm",))
    for norm in NORMS:
        if not rows.has(norm=norm):
            rows.add({"norm": norm, **_row(asked, norm)})
    results_file.write("supernet", name, {row["norm"]: row for row in rows.rows})


def _row(asked: argparse.Namespace, norm: str) -> dict[str, Any]:
    named = load_space(asked.space)
    space = SearchSpace(named.definition.model_copy(update={"norm": norm}))
    recipe = {"epochs": asked.epochs}
    context = Context(Settings(data=asked.data, space=asked.space, recipe=recipe))
    supernet = Supernet(space, context.data.shape, seed=0)
    begun = time.process_time()
    train_as_set(context, Setup(supernet, CostTable(space, context.data.shape).macs))
    row: dict[str, Any] = {"training_cpu_s": round(time.process_time() - begun)}
    for name, codes in _groups(space, np.random.default_rng(0)).items():
        row[name] = _accuracy(context, supernet, codes)
    alone = []
    usual = default_recipe(True, len(context.data.train))
    for code in space.sample(asked.alone, np.random.default_rng(1)):
        network = fresh_network(space.decode(code), context.data.shape, seed=0)
        how = usual.model_copy(update={"epochs": asked.epochs})
        retrain(network, context.training_batches(0), how, seed=0)
        alone.append(round(100 * score_test(network, context.dataset).accuracy, 2))
    return {**row, "alone": alone}


def _groups(space: SearchSpace, rng: np.random.Generator) -> dict[str, Codes]:
    return {
        "largest": space.largest()[None],
        "largest_drawn": np.stack([space.largest(rng) for _ in range(DRAWN)]),
        "random": space.sample(RANDOM, np.random.default_rng(1)),
        "smallest": space.smallest()[None],
        "smallest_drawn": np.stack([space.smallest(rng) for _ in range(DRAWN)]),
    }


def _accuracy(context: Context, supernet: Supernet, codes: Codes) -> float:
    """The mean on the test images, in per cent."""
    batches = EvalBatches(context.dataset.open_test(), context.data.normalisation)
    found = evaluate_children(
        supernet,
        [supernet.space.decode(code) for code in codes],
        lambda side: batches.batches(side, batch_size_at(side)),
        context.evaluation_images.calibration,
    )
    return round(100 * float(np.mean([each.accuracy for each in found])), 2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, help="for training; all by default")
    parser.add_argument("--folder", type=Path, default=Path(), help="of the images drawn")
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--alone", type=int, default=3, help="networks that are trained alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
