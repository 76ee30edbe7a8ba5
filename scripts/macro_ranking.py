"""How well a trained supernet ranks the networks of NAS-Bench-Macro, as it is and corrected.

    python scripts/macro_ranking.py --table nas_bench_macro_cifar10.csv.gz --data cifar10:DIR
    python scripts/macro_ranking.py ... --ways default --first-seed 1       one more row
    python scripts/macro_ranking.py ... --side 16                           a quarter of the time

A supernet of `macro` is trained on CIFAR-10 for each way and seed. It then scores as many networks
from each decile of multiply-adds: accuracy and loss on validation images, batch norms calibrated.
The figures are Kendall's taus with the table's accuracies: of the scores, and of what is corrected
by 10 and 40 networks of the table, beside processes that know no supernet.

The cost of a supernet is the number of images that its children learned from, each image counted
once for each child. One training of the table is 50 epochs of 50,000 images. Rows are kept as they
come, so that the script can be continued and its parts can run side by side.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import results_file
import torch
from kept_rows import Rows, add_ways
from macro_table import DECILES, SPACE, Corrections, MacroTable, read
from supernet_work import train_as_set

from nas.latency.cost import CostTable
from nas.ranking.correction import log_errors
from nas.run.context import Context
from nas.run.evaluator import EvaluationImages
from nas.settings import Settings
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.method import Setup

TRIALS = 10
"""Choices of the networks that correct."""
TOGETHER = 20
"""Networks that are evaluated together; neighbours in the order of codes begin alike."""
ONE_TRAINING = 50 * 50_000
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "uniform": (1, {"sampler": "uniform", "supervision": "labels", "batch_size": 64}),
    "fair": (3, {"sampler": "fair", "sampler.children": 3, "supervision": "labels"}),
    "default": (4, {}),
}
"""The number of children in a step, and changes to the recipe."""


def main() -> None:
    """Train what is missing, then write the table of what is there."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    table = _even(read(asked.table), asked.networks)
    name = f"macro-{asked.side}px-{asked.passes}passes-{asked.networks}networks"
    rows = Rows(results_file.RESULTS / "supernet" / f"{name}.jsonl", ("way",))
    for way, seed in rows.missing(asked):
        rows.add({"way": way, "seed": seed, **_row(asked, table, way, seed)})
    figures = {"without a supernet": table.known()}
    figures |= {key[0]: _judged(table, found) for key, found in rows.groups()}
    results_file.write("supernet", name, figures)


def _even(table: MacroTable, networks: int) -> MacroTable:
    """As many networks from each decile of multiply-adds, in the order of their codes."""
    rng = np.random.default_rng(0)
    each = networks // DECILES
    rows = [rng.permutation(np.flatnonzero(table.decile == d))[:each] for d in range(DECILES)]
    chosen = np.concatenate(rows)
    return table.some(chosen[np.lexsort(table.codes[chosen].T[::-1])])


def _row(asked: argparse.Namespace, table: MacroTable, way: str, seed: int) -> dict[str, Any]:
    children, recipe = WAYS[way]
    epochs = max(1, round(asked.passes / children))
    settings = Settings(
        data=asked.data, space="macro", seed=seed, recipe={**recipe, "epochs": epochs}
    )
    context = Context(settings)
    space = SearchSpace(SPACE.definition.model_copy(update={"resolution": [asked.side]}))
    supernet = Supernet(space, context.data.shape, seed=seed).to(context.device)
    begun = time.process_time()
    train_as_set(context, Setup(supernet, CostTable(space, context.data.shape).macs))
    seconds = time.process_time() - begun
    images = EvaluationImages(context.data, asked.validation)
    scores: dict[str, list[float]] = {"accuracy": [], "loss": []}
    for begin in range(0, len(table.codes), TOGETHER):
        some = [space.decode(code) for code in table.codes[begin : begin + TOGETHER]]
        for each in images.evaluate_all(supernet, some):
            scores["accuracy"].append(round(each.accuracy, 5))
            scores["loss"].append(round(each.loss, 5))
    seen = epochs * children * len(context.data.train)
    return {
        "images": seen,
        "trainings": round(seen / ONE_TRAINING, 3),
        "training_cpu_s": round(seconds),
        **scores,
    }


def _judged(table: MacroTable, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one way, over its seeds."""
    figures: dict[str, Any] = {
        "seeds": sorted(row["seed"] for row in rows),
        "trainings": float(np.mean([row["trainings"] for row in rows])),
        "accuracy": round(float(np.mean([np.mean(row["accuracy"]) for row in rows])), 4),
    }
    for score in ("accuracy", "loss"):
        found = Corrections(table)
        for row in rows:
            values = np.array(row[score])
            errors = log_errors(1.0 - values if score == "accuracy" else values, 1e-6)
            for trial in range(TRIALS):
                found.add(errors, np.random.default_rng(trial))
        figures[f"by {score}"] = found.figures()
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--data", required=True, help="CIFAR-10")
    add_ways(parser, WAYS)
    parser.add_argument("--side", type=int, default=32, help="of the images; the table has 32")
    parser.add_argument("--passes", type=int, default=4, help="of the images, by all children")
    parser.add_argument("--networks", type=int, default=500, help="that are scored")
    parser.add_argument("--validation", type=int, default=600, help="images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
