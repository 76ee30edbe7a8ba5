"""Ways to begin and to train a supernet on photographs, compared at equal steps.

    python scripts/photographs_starts.py --data folder:DIR --side 48 --epochs 3 --seeds 1

Each way trains the supernet of the space. `pretrained` is the default; the other ways change one
thing of it. Then test accuracy without retraining, statistics calibrated: the largest child (the
donor, if there is one), the mean and the best of 8 random ones, the smallest; `healthy` counts the
seeds in which they come in that order. `largest first` trains the largest alone for the first
third of the steps, `curriculum` lets the other children come down from the largest over the first
half. Rows are kept as they come, so that the script can be continued.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import photographs_setup
import results_file
from kept_rows import Rows
from photographs_setup import Photographs

from nas.settings import Settings

CHILDREN = 8
WAYS: dict[str, dict[str, Any]] = {
    "pretrained": {},
    "without features": {"recipe": {"supervision.feature_weight": 0.0}},
    "random weights": {"start": False},
    "unsorted": {"in_order": False},
    "layer decay 0.8": {"recipe": {"layer_decay": 0.8}},
    "largest first": {"recipe": {"sampler.alone": 0.33}},
    "curriculum": {"recipe": {"sampler.descent": 0.5}},
    "rate 5e-4": {"recipe": {"learning_rate": 5e-4}},
    "rate 2e-3": {"recipe": {"learning_rate": 2e-3}},
    "rate 4e-3": {"recipe": {"learning_rate": 4e-3}},
    "four random children": {"recipe": {"sampler.random_children": 4}},
    "labels alone": {"recipe": {"supervision": "labels"}},
    "teacher alone": {"recipe": {"supervision.label_weight": 0.0}},
    "alpha-divergence": {"recipe": {"supervision": "alpha-divergence"}},
    "fair": {"recipe": {"sampler": "fair"}},
    "weight decay 0.1": {"recipe": {"weight_decay": 0.1}},
    "mixup and label smoothing": {"recipe": {"mixup": 0.2, "label_smoothing": 0.1}},
    "randaugment": {"recipe": {"randaugment": "rand-m5-n2"}},
    "zoom": {"recipe": {"zoom": 0.4}},
    "batch of 64": {"recipe": {"batch_size": 64}},
    "one random child": {"recipe": {"sampler.random_children": 1}},
    "update after each child": {"recipe": {"update_each_child": True}},
    "update after each child, rate 5e-4": {
        "recipe": {"update_each_child": True, "learning_rate": 5e-4}
    },
    "largest in every other step": {"recipe": {"supervision.teacher_every": 2}},
    "largest in every other step, rate 2e-3": {
        "recipe": {"supervision.teacher_every": 2, "learning_rate": 2e-3}
    },
    "largest in every other step, rate 4e-3": {
        "recipe": {"supervision.teacher_every": 2, "learning_rate": 4e-3}
    },
}


def main() -> None:
    """Train each way with each seed and write the table."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--space", default="photo-mobile")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    name = f"starts-{asked.space}-{asked.side}px-{asked.epochs}epochs"
    rows = Rows(results_file.RESULTS / "photographs" / f"{name}.jsonl", ("way",))
    for seed in photographs_setup.seeds(asked):
        for way in asked.ways:
            if not rows.has(way=way, seed=seed):
                rows.add(_row(asked, way, seed))
    results_file.write("photographs", name, {"rows": _table(rows)}, each=rows.rows)


def _row(asked: Any, way: str, seed: int) -> dict[str, Any]:
    changes = WAYS[way]
    start = changes.get("start", True)
    settings = Settings(
        data=asked.data,
        space=asked.space,
        seed=seed,
        epochs=asked.epochs,
        pretrained=None if start else "none",
        recipe=photographs_setup.recipe(asked) | changes.get("recipe", {}),
    )
    context = Photographs(settings, asked.side)
    begun = time.process_time()
    supernet = context.trained(start=start, in_order=changes.get("in_order", True))
    seconds = time.process_time() - begun
    whole = context.whole_space
    drawn = whole.sample(CHILDREN, np.random.default_rng(1))
    test = context.dataset.open_test()

    def score(code: np.ndarray[Any, Any]) -> float:
        return context.judge(context.child(supernet, whole.decode(code)), test).accuracy

    random = [score(code) for code in drawn]
    donor = context.donor_architecture
    largest = whole.largest() if donor is None else whole.encode(donor)
    return {
        "way": way,
        "seed": seed,
        "largest": score(largest),
        "random": float(np.mean(random)),
        "best": max(random),
        "smallest": score(whole.smallest()),
        "training_cpu_s": round(seconds),
    }


def _table(rows: Rows) -> list[dict[str, Any]]:
    """The mean over the seeds of each way."""
    names = ("largest", "random", "best", "smallest", "training_cpu_s")
    return [
        {"way": way, "seeds": len(group)}
        | {name: round(float(np.mean([row[name] for row in group])), 4) for name in names}
        | {"healthy": sum(r["largest"] >= r["random"] >= r["smallest"] for r in group)}
        for (way,), group in rows.groups()
    ]


if __name__ == "__main__":
    main()
