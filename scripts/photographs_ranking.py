"""What the search should optimise: scores of children on shared weights against their own.

    python scripts/photographs_ranking.py --data folder:DIR --side 48 --epochs 3 --seeds 3

For each seed a supernet of `photo-mobile` is trained from its donor, and fresh children are drawn.
Each is scored with the shared weights on the validation split: accuracy, loss, and mixtures of
them; multiply-adds stand beside. Then each is fine-tuned alone, from the shared weights. The table
gives the rank correlation (Spearman) of every score with the test accuracy after that, and what
the fine-tuning gained. Rows are kept as they come, so that the script can be continued.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import photographs_setup
import results_file
from kept_rows import Rows
from photographs_setup import Photographs
from scipy.stats import rankdata, spearmanr

from nas.latency.cost import CostTable
from nas.retrain.trainer import retrain
from nas.settings import Settings
from supernet.training.recipe import Recipe

FINE_TUNING = Recipe(learning_rate=1e-3, weight_decay=0.02, drop_path=0.0, ema_decay=0.98)


def main() -> None:
    """Train, draw, score, fine-tune, and write the table."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--space", default="photo-mobile")
    parser.add_argument("--children", type=int, default=30)
    parser.add_argument("--alone-epochs", type=int, default=4)
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    name = f"ranking-{asked.space}-{asked.side}px-{asked.epochs}epochs"
    rows = Rows(results_file.RESULTS / "photographs" / f"{name}.jsonl", ("seed",))
    for seed in photographs_setup.seeds(asked):
        if not rows.has(seed=seed, child=asked.children - 1):
            _children(asked, seed, rows)
    figures = [
        {"seed": seed, "children": len(group)} | _correlations(group)
        for (seed,), group in rows.groups()
    ]
    mean = {
        key: round(float(np.mean([row[key] for row in figures])), 3)
        for key in figures[0]
        if key not in ("seed", "children")
    }
    results_file.write("photographs", name, {"mean": mean, "seeds": figures}, each=rows.rows)


def _children(asked: Any, seed: int, rows: Rows) -> None:
    """A row for each child of one seed's supernet."""
    settings = Settings(
        data=asked.data,
        space=asked.space,
        seed=seed,
        epochs=asked.epochs,
        recipe=photographs_setup.recipe(asked),
    )
    context = Photographs(settings, asked.side)
    supernet = context.trained()
    whole = context.whole_space
    codes = whole.sample(asked.children, np.random.default_rng(1000 + seed))
    macs = CostTable(whole, context.data.shape).macs(codes)
    recipe = FINE_TUNING.model_copy(update={"epochs": asked.alone_epochs})
    for number, code in enumerate(codes):
        if rows.has(seed=seed, child=number):
            continue
        network = context.child(supernet, whole.decode(code))
        shared = context.judge(network, context.data.validation)
        before = context.judge(network, context.dataset.open_test())
        alone = copy.deepcopy(network)
        retrain(alone, context.training_batches(seed), recipe, seed=seed)
        after = context.judge(alone, context.dataset.open_test())
        rows.add(
            {
                "seed": seed,
                "child": number,
                "macs": float(macs[number]),
                "accuracy": shared.accuracy,
                "loss": shared.loss,
                "test_before": before.accuracy,
                "test_after": after.accuracy,
                "validation_after": context.judge(alone, context.data.validation).accuracy,
            }
        )


def _correlations(group: list[dict[str, Any]]) -> dict[str, float]:
    """Spearman of each score, where more is better, with the accuracy after fine-tuning."""

    def column(name: str) -> np.ndarray[Any, Any]:
        return np.array([row[name] for row in group])

    scores = {
        "accuracy": column("accuracy"),
        "loss": -column("loss"),
        "macs": column("macs"),
        "accuracy + loss": rankdata(column("accuracy")) + rankdata(-column("loss")),
        "loss + macs": rankdata(-column("loss")) + rankdata(column("macs")),
    }
    found = {}
    for name, values in scores.items():
        found[name] = round(float(spearmanr(values, column("test_after")).statistic), 3)
        both = column("test_after") + column("validation_after")
        found[f"{name}, both splits"] = round(float(spearmanr(values, both).statistic), 3)
    gain = column("test_after") - column("test_before")
    return found | {"gain_of_fine_tuning": round(float(gain.mean()), 4)}


if __name__ == "__main__":
    main()
