"""Searches under tight budgets: percentiles 25, 50 and 75 of the space's predicted latency.

    python scripts/binding_budgets.py --evaluations 200

Every architecture that a search returns is measured as a network. Accuracies are those of children
on the validation split.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import results_file

from nas import pipeline
from nas.latency import predictor_for
from nas.progress import Silent
from nas.run.context import Context
from nas.settings import Settings, TargetChoice

PERCENTILES = (25, 50, 75)


def main() -> None:
    """One search per budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    base = Settings(
        space=arguments.space,
        data=arguments.data,
        epochs=arguments.epochs,
        evaluations=arguments.evaluations,
        seed=arguments.seed,
    )
    context = Context(base)
    predictor = predictor_for(context.space, context.target, context.data.shape)
    sampled = context.space.sample(20_000, np.random.default_rng(arguments.seed))
    ms = predictor.predict(sampled).ms
    rows = []
    for percentile in PERCENTILES:
        budget = float(np.percentile(ms, percentile))
        with tempfile.TemporaryDirectory() as folder:
            settings = base.model_copy(update={"targets": (TargetChoice(budgets_ms=(budget,)),)})
            run = Path(folder) / "run"
            result = pipeline.run(settings, out=run, until="measure", console=Silent())
            returned = result.front
        latencies = [member.latencies[0] for member in returned]
        over = [at.measured_ms / budget - 1 for at in latencies if at.measured_ms is not None]
        rows.append(
            {
                "percentile": percentile,
                "budget_ms": budget,
                "returned": len(returned),
                "left_out_as_measured_slower": len(result.notes),
                "greatest_measured_over_budget": max(over),
                "best_accuracy": max(m.accuracy for m in returned),
                "members": [
                    {"predicted_ms": at.predicted_ms, "measured_ms": at.measured_ms}
                    for at in latencies
                ],
            }
        )
        print({k: v for k, v in rows[-1].items() if k != "members"}, flush=True)
    best = [row["best_accuracy"] for row in rows]
    figures = {
        "all_within_3_percent": all(r["greatest_measured_over_budget"] <= 0.03 for r in rows),
        "accuracy_does_not_fall": best == sorted(best),
        "best_accuracies": best,
    }
    name = f"binding-budgets-{arguments.space}-{arguments.data.partition(':')[0]}"
    results_file.write("search", name, figures, seed=arguments.seed, budgets=rows)


if __name__ == "__main__":
    main()
