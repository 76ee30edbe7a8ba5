"""Evolution against random search: equal evaluations on one supernet trained on real images.

    python scripts/evolution_against_random.py --data fashion-mnist:DIR --epochs 2 --seeds 10

Both search the same shared weights, targets and budget. Hypervolume is of (error, predicted
latency), from the worst accuracy that either saw and the budget.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import results_file

from nas.progress import Silent
from nas.runs import open_run
from nas.search.engine import search
from nas.search.front import hypervolume
from nas.search.searchers import make_searcher
from nas.settings import Settings
from nas.work import Work

SEARCHERS = ("evolution", "random")


class Said(Silent):
    """Prints what the steps say."""

    def say(self, message: str) -> None:
        """One line."""
        print(message, flush=True)


def main() -> None:
    """Search with both from several seeds and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--budget-ms", type=float, default=5.0)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--validation", type=int, default=1000, help="images to judge by")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    settings = Settings(
        data=arguments.data,
        space=arguments.space,
        epochs=arguments.epochs,
        budget_ms=arguments.budget_ms,
        evaluations=arguments.evaluations,
    )
    with tempfile.TemporaryDirectory() as folder, open_run(settings, Path(folder) / "run") as run:
        work = Work(run, Said())
        work.context.judge_by(arguments.validation)
        print({k: round(v, 4) for k, v in work.trained.curve[-1].items()}, flush=True)
        found = {name: [] for name in SEARCHERS}
        for seed in range(arguments.seeds):
            for name in SEARCHERS:
                searcher = make_searcher(
                    name,
                    work.problem.space,
                    seed=seed,
                    constraints=work.problem.constraints,
                    cheap=work.problem.cheap,
                )
                records = search(
                    work.problem,
                    searcher,
                    evaluations=arguments.evaluations,
                    record=Path(folder) / f"{name}-{seed}.jsonl",
                )
                found[name].append(
                    np.array([[1 - r.accuracy, r.latency_ms] for r in records if not r.failed])
                )
            print(f"seed {seed}: {len(records)} evaluations each", flush=True)
    worst = max(points[:, 0].max() for runs in found.values() for points in runs)
    reference = np.array([worst, arguments.budget_ms])
    volumes = {n: [float(hypervolume(p, reference)) for p in found[n]] for n in SEARCHERS}
    best = {n: [float(1 - p[:, 0].min()) for p in found[n]] for n in SEARCHERS}
    pairs = list(zip(volumes["evolution"], volumes["random"], strict=True))
    figures = {
        "evolution_larger_in": f"{sum(e > r for e, r in pairs)} of {len(pairs)}",
        "mean_hypervolume": {n: float(np.mean(v)) for n, v in volumes.items()},
        "mean_best_accuracy": {n: float(np.mean(v)) for n, v in best.items()},
        "hypervolumes": volumes,
    }
    kind = arguments.data.partition(":")[0]
    name = f"evolution-random-{arguments.space}-{kind}-{arguments.evaluations}"
    results_file.write("search", name, figures, validation_images=arguments.validation)


if __name__ == "__main__":
    main()
