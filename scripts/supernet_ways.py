"""Ways to train a supernet, compared at an equal number of images.

    python scripts/supernet_ways.py --data fashion-mnist:DIR --folder DIR --seeds 2
    python scripts/supernet_ways.py --folder DIR --part alone          only the networks alone
    python scripts/supernet_ways.py --folder DIR --ways default labels --first-seed 1 --seeds 1

Networks of the space: the largest and the smallest, 12 random ones, and 30 whose multiply-adds lie
within 20 % of the median. Each is trained alone, from new weights, on as many images as the
supernet sees in one child: that is the truth. Then each way trains a supernet and gives the test
accuracies of the same networks with shared weights, statistics calibrated.

    near     mean distance of the 12 random ones from their truth, in points
    health   largest, mean of the random ones, smallest
    tau      Kendall's with the truth of the 30 networks of one cost, and of the 12, from accuracy
             and loss on the validation images; 90 % bootstrap interval, and how far parameters and
             multiply-adds are behind

Every way sees as many images, counted once for each child that learns from them: a step that has
fewer children is made more often. Rows are kept as they come, so that the script can be continued
and its parts can run side by side.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_images
import numpy as np
import results_file
import torch
from kept_rows import Rows, add_ways
from supernet_work import train_as_set

from nas.data.batches import EvalBatches
from nas.data.images import Images
from nas.latency.cost import CostTable
from nas.ranking.agreement import agreements
from nas.retrain import default_recipe, fresh_network, retrain, score_test
from nas.run.context import Context
from nas.search.protocol import Codes
from nas.settings import Settings
from supernet import Supernet
from supernet.method import Setup
from supernet.tree import evaluate_children

CLOSE, RANDOM, WITHIN = 30, 12, 0.2
CHILDREN = 4
"""Of a step of the default."""
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "one update of all children": {"update_each_child": False},
    "labels": {"supervision": "labels"},
    "alpha-divergence": {"supervision": "alpha-divergence"},
    "bootstrap": {"supervision": "bootstrap"},
    "consistency": {"supervision": "consistency"},
    "masked": {"supervision": "masked"},
    "ranking": {"supervision": "ranking"},
    "sharpness-aware": {"supervision": "sharpness-aware"},
    "teacher alone": {"supervision.label_weight": 0.0},
    "one random child": {"sampler.random_children": 1},
    "uniform, labels": {"sampler": "uniform", "sampler.children": 4, "supervision": "labels"},
    "uniform of 1, labels": {"sampler": "uniform", "supervision": "labels"},
    "fair, labels": {"sampler": "fair", "supervision": "labels"},
    "complexity-aware, labels": {"sampler": "complexity-aware", "supervision": "labels"},
    "performance-aware, labels": {"sampler": "performance-aware", "supervision": "labels"},
    "multi-architecture, labels": {"sampler": "multi-architecture", "supervision": "labels"},
    "cost-stratified": {"sampler": "cost-stratified"},
    "shrinking": {"sampler": "shrinking", "sampler.children": 4},
    "largest first": {"sampler.alone": 0.33},
    "curriculum": {"sampler.descent": 0.5},
    "projection of children": {"gradient_projection": "children"},
    "projection of the teacher": {"gradient_projection": "teacher"},
    "families by block": {"sampler.alike": 0.0},
    "always alike": {"sampler.alike": 1.0},
    "layer decay 0.8": {"layer_decay": 0.8},
    "batch of 16": {"batch_size": 16},
    "rate 2e-3": {"learning_rate": 2e-3},
    "rate 8e-3": {"learning_rate": 8e-3},
    "no drop path": {"drop_path": 0.0},
}
LEARNING = {"one random child": 3, "uniform of 1, labels": 1, "multi-architecture, labels": 1}
"""Whole passes of a step's images that learn, where they are not those of the default."""
Row = dict[str, Any]


class Trial:
    """The images, the space and the networks, and the rows so far."""

    def __init__(self, asked: argparse.Namespace) -> None:
        images = asked.folder / "images.npz"
        drawn_images.draw(asked.data, asked.images, 0, images, validation=2000)
        self.asked, self.data = asked, f"npz:{images}"
        self.context = self.with_recipe({}, seed=0)
        self.space = self.context.whole_space
        self.epochs = asked.epochs or self.context.recipe.epochs
        self.costs = CostTable(self.space, self.context.data.shape)
        self.groups = self._networks()

    def with_recipe(self, recipe: dict[str, Any], seed: int) -> Context:
        """The objects of a search with changes to the recipe."""
        settings = Settings(data=self.data, space=self.asked.space, seed=seed, recipe=recipe)
        return Context(settings)

    def _networks(self) -> dict[str, Codes]:
        """Codes by what they are for."""
        rng = np.random.default_rng(0)
        many = self.space.sample(4000, rng)
        macs = self.costs.macs(many)
        close = many[np.abs(macs / np.median(macs) - 1.0) <= WITHIN]
        return {
            "largest": self.space.largest()[None],
            "smallest": self.space.smallest()[None],
            "random": self.space.sample(RANDOM, np.random.default_rng(1)),
            "close": close[:CLOSE],
        }

    @property
    def alone(self) -> Rows:
        """The networks that were trained alone."""
        return Rows(self.asked.folder / "alone.jsonl", ("group",))

    @property
    def ways(self) -> Rows:
        """The supernets."""
        return Rows(self.asked.folder / "ways.jsonl", ("way",))

    def each(self) -> list[tuple[str, int, Codes]]:
        """Every network with its group and its number there."""
        return [(g, i, code) for g, codes in self.groups.items() for i, code in enumerate(codes)]


def main() -> None:
    """Train what is missing, then write the table of what is there."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    trial = Trial(asked)
    if asked.part in ("alone", "both"):
        _alone(trial)
    if asked.part in ("ways", "both"):
        rows = trial.ways
        for way, seed in rows.missing(asked):
            rows.add(_row(trial, way, seed))
    alone, ways = trial.alone.rows, trial.ways.rows
    if len(alone) == len(trial.each()):
        name = f"ways-{trial.space.name}-{asked.images}images-{trial.epochs}epochs"
        results_file.write("supernet", name, _figures(trial, alone, ways), alone=alone, each=ways)


def _alone(trial: Trial) -> None:
    """Train each network alone."""
    context, asked = trial.context, trial.asked
    recipe = default_recipe(True, len(context.data.train))
    recipe = recipe.model_copy(update={"epochs": trial.epochs})
    for place, (group, number, code) in enumerate(trial.each()):
        if place % asked.shares != asked.share or trial.alone.has(group=group, number=number):
            continue
        network = fresh_network(trial.space.decode(code), context.data.shape, seed=0)
        network.to(context.device)
        retrain(network, context.training_batches(0), recipe, seed=0)
        truth = score_test(network, context.dataset).accuracy
        trial.alone.add({"group": group, "number": number, "truth": truth})


def _row(trial: Trial, way: str, seed: int) -> Row:
    """Train one supernet and score every network with its weights."""
    epochs = round(trial.epochs * CHILDREN / LEARNING.get(way, CHILDREN))
    context = trial.with_recipe({"epochs": epochs, **WAYS[way]}, seed)
    supernet = Supernet(trial.space, context.data.shape, seed=seed).to(context.device)
    setup = Setup(supernet, trial.costs.macs)
    begun = time.process_time()
    train_as_set(context, setup)
    seconds = time.process_time() - begun
    test = context.dataset.open_test()
    row: Row = {"way": way, "seed": seed, "training_cpu_s": round(seconds)}
    for group, codes in trial.groups.items():
        children = [trial.space.decode(code) for code in codes]
        images = context.evaluation_images
        seen = images.evaluate_all(supernet, children)
        row[group] = {
            "accuracy": [each.accuracy for each in seen],
            "loss": [each.loss for each in seen],
        }
        if group != "close":  # those are only ranked, by what a search sees
            judged = evaluate_children(
                supernet, children, _batches(context, test), images.calibration
            )
            row[group]["test"] = [each.accuracy for each in judged]
    return row


def _batches(context: Context, images: Images) -> Callable[[int], Any]:
    """Batches of images at a resolution."""
    batches = EvalBatches(images, context.data.normalisation)
    return lambda resolution: batches.batches(resolution, 250)


def _figures(trial: Trial, alone: list[Row], ways: list[Row]) -> dict[str, Any]:
    ordered = sorted(alone, key=lambda row: row["number"])
    truths = {
        group: np.array([row["truth"] for row in ordered if row["group"] == group])
        for group in trial.groups
    }
    table: dict[str, Any] = {}
    for way in WAYS:
        found = [row for row in ways if row["way"] == way]
        if found:
            table[way] = _mean([_judged(trial, truths, row) for row in found])
            table[way]["seeds"] = len(found)
    means = {group: round(100 * float(truth.mean()), 2) for group, truth in truths.items()}
    costs = {
        f"tau of {name}, {group}": _tau(truths[group], score(trial.groups[group]))
        for group in ("close", "random")
        for name, score in (("macs", trial.costs.macs), ("parameters", trial.costs.params))
    }
    return {"alone": means, **costs, "spread of the 30": _spread(truths["close"]), "ways": table}


def _judged(trial: Trial, truths: dict[str, Any], row: Row) -> dict[str, float]:
    """The figures of one supernet, in points and taus."""
    shared = np.array(row["random"]["test"])
    largest, smallest = row["largest"]["test"][0], row["smallest"]["test"][0]
    figures = {
        "largest": 100 * largest,
        "random": 100 * shared.mean(),
        "smallest": 100 * smallest,
        "below the truth": 100 * float((truths["random"] - shared).mean()),
        "smallest below its truth": 100 * float(truths["smallest"][0] - smallest),
        "cpu_s": row["training_cpu_s"],
    }
    for group in ("close", "random"):
        for score, sign in (("accuracy", 1.0), ("loss", -1.0)):
            values = sign * np.array(row[group][score])
            figures[f"tau of {score}, {group}"] = _tau(truths[group], values)
    rng, codes = np.random.default_rng(0), trial.groups["close"]
    scores = {
        "loss": -np.array(row["close"]["loss"]),
        "macs": trial.costs.macs(codes),
        "parameters": trial.costs.params(codes),
    }
    loss, *others = agreements(truths["close"], scores, rng)
    figures |= {"least of tau": loss.tau.low}
    return figures | {f"least lead over {a.score}": a.behind.low for a in others}


def _tau(truth: Any, score: Any) -> float:
    found = agreements(np.asarray(truth), {"score": np.asarray(score)}, np.random.default_rng(0))
    return round(found[0].tau.value, 3)


def _spread(values: Any) -> str:
    return f"{100 * values.min():.1f} to {100 * values.max():.1f} %, sd {100 * values.std():.2f}"


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits", help="not read if the folder has images")
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--images", type=int, default=6000, help="for training")
    parser.add_argument("--epochs", type=int, help="those of a search by default")
    parser.add_argument("--folder", type=Path, required=True, help="of images and rows")
    parser.add_argument("--part", choices=("alone", "ways", "both"), default="both")
    add_ways(parser, WAYS, seeds=2)
    parser.add_argument("--shares", type=int, default=1, help="of the networks alone")
    parser.add_argument("--share", type=int, default=0, help="that is trained here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
