"""Test accuracy of a run's best architecture on the digits, retrained from several seeds.

    python scripts/digits_accuracy.py results/quickstart --seeds 5            shared weights
    python scripts/digits_accuracy.py results/quickstart --from-scratch       fresh splits

From shared weights, the run's split is used, because the supernet has seen its training images.
From scratch, each seed also splits the digits again, so that its test images differ from those
that the retraining recipe was chosen with (the split of seed 0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import results_file

from nas.progress import Silent
from nas.retrain import default_recipe, fresh_network, retrain, score_test, score_validation
from nas.run.context import Context
from nas.run.folder import resume_run
from nas.run.summary import front_of
from nas.run.supernets import supernet_of


def main() -> None:
    """Retrain from each seed and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--from-scratch", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with resume_run(arguments.run) as folder:
        context = Context(folder.settings)
        member = front_of(folder.path, context).chosen(1)[0]
        supernet = None if arguments.from_scratch else supernet_of(context, Silent()).supernet
        data, architecture = context.data, member.architecture
        recipe = default_recipe(arguments.from_scratch, len(data.train))
        for number in range(arguments.seeds):
            seed = number
            if supernet is None:
                seed = number + 1
                context = Context(folder.settings.model_copy(update={"seed": seed}))
                network = fresh_network(architecture, data.shape, seed)
            else:
                network = supernet.extract(architecture)
            retrain(network, context.retraining_batches(seed), recipe, seed=seed)
            found = score_validation(network, context.data), score_test(network, context.dataset)
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
        predicted_ms=member.latencies[0].predicted_ms,
        measured_ms=member.latencies[0].measured_ms,
        recipe=recipe.model_dump(),
        trainings=rows,
    )


if __name__ == "__main__":
    main()
