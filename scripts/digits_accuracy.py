"""The exported best network on the test split of the digits, retrained from several seeds.

    python scripts/digits_accuracy.py results/quickstart --seeds 5

The network is the run's most accurate one within the budget; each training begins from the shared
weights and has a seed of its own. The data's split stays the run's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results_file

from nas.progress import Silent
from nas.retrain import default_recipe, fresh_network, retrain, score_test, score_validation
from nas.runs import resume_run
from nas.work import Work


def main() -> None:
    """Retrain from each seed and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--from-scratch", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with resume_run(arguments.run) as folder:
        work = Work(folder, Silent())
        context, member = work.context, work.chosen(1)[0]
        data, architecture = context.data, member.architecture
        recipe = default_recipe(arguments.from_scratch, len(data.train))
        for seed in range(arguments.seeds):
            network = (
                fresh_network(architecture, data.in_channels, data.num_classes, seed)
                if arguments.from_scratch
                else work.trained.supernet.extract(architecture)
            )
            retrain(network, context.retraining_batches(seed), recipe, seed=seed)
            found = score_validation(network, data), score_test(network, context.dataset)
            rows.append({"seed": seed, "validation": found[0].accuracy, "test": found[1].accuracy})
            print(rows[-1], flush=True)
    tests = [row["test"] for row in rows]
    figures = {"mean_test_accuracy": float(np.mean(tests)), "least": min(tests)}
    start = "scratch" if arguments.from_scratch else "shared"
    results_file.write(
        "accuracy",
        f"digits-best-from-{start}",
        figures,
        architecture=architecture.to_dict(),
        predicted_ms=member.entry["prediction"]["ms"],
        measured_ms=member.measured_ms,
        recipe=recipe.model_dump(),
        trainings=rows,
    )


if __name__ == "__main__":
    main()
