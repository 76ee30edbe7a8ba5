"""One search that answers five budgets, against five searches that answer one each.

    python scripts/many_budgets.py --searcher auto --evaluations 200 --seeds 5

The budgets are percentiles of the space's predicted latency. All searches share one supernet, and
the script evaluates each architecture once; the seconds of this evaluation count for every search
that asks it. The answer to a budget is the evaluated architecture within it with the highest
accuracy on the validation split.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import results_file
import supernet_work

from nas.search import make_searcher
from nas.search.engine import search
from nas.search.feasibility import SAMPLES
from nas.search.front_file import best_within, front_among
from nas.search.objectives import Budgets
from nas.search.problem import Problem
from nas.search.protocol import Codes, Floats, Searcher
from nas.settings import Settings
from nas.storage import atomic_write
from supernet.scores import Evaluation

PERCENTILES = (15, 30, 50, 70, 90)


@dataclass
class Evaluated:
    """Each architecture's scores, and the seconds of their evaluation."""

    problem: Problem
    scores: dict[bytes, Evaluation] = field(default_factory=dict)
    seconds: dict[bytes, float] = field(default_factory=dict)

    def __call__(self, code: Codes) -> Evaluation:
        """Its scores, evaluated once."""
        key = code.tobytes()
        if key not in self.scores:
            start = time.process_time()
            self.scores[key] = self.problem.evaluate(code)
            self.seconds[key] = time.process_time() - start
        return self.scores[key]


@dataclass
class Timed:
    """A searcher and the seconds it takes."""

    searcher: Searcher
    seconds: float = 0.0
    asked: list[Codes] = field(default_factory=list)

    def ask(self, n: int) -> Codes:
        """As the searcher does."""
        start = time.process_time()
        codes = self.searcher.ask(n)
        self.seconds += time.process_time() - start
        self.asked.extend(codes)
        return codes

    def tell(self, codes: Codes, objectives: Floats) -> None:
        """As the searcher does."""
        start = time.process_time()
        self.searcher.tell(codes, objectives)
        self.seconds += time.process_time() - start


@dataclass(frozen=True)
class Found:
    """The result of one search: the best accuracy within each budget, and its cost."""

    accuracies: list[float]
    evaluations: int
    evaluating_seconds: float
    searcher_seconds: float


def main() -> None:
    """Search both ways from several seeds and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--data", default="digits")
    parser.add_argument(
        "--hardware", default="a100", help="a GPU is predicted, wherever this runs"
    )
    parser.add_argument("--searcher", default="auto")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--validation", type=int, help="images to evaluate on; all by default")
    arguments = parser.parse_args()
    settings = Settings(
        space=arguments.space,
        data=arguments.data,
        hardware=arguments.hardware,
        epochs=arguments.epochs,
        searcher=arguments.searcher,
        evaluations=arguments.evaluations,
    )
    work = supernet_work.opened(settings, arguments.validation)
    sampled = work.problem.space.sample(SAMPLES, np.random.default_rng(0))
    high = work.measures(sampled).high_ms[:, 0]
    budgets = [float(ms) for ms in np.percentile(high, PERCENTILES)]
    print(f"budgets in ms: {[round(ms, 3) for ms in budgets]}", flush=True)
    problem = dataclasses.replace(work.problem, evaluate=Evaluated(work.problem))
    together, alone = [], []
    for seed in range(arguments.seeds):
        together.append(_search(problem, budgets, settings, seed))
        alone.append([_search(problem, [ms], settings, seed) for ms in budgets])
        print(f"seed {seed}: together {_shown(together[-1].accuracies)}", flush=True)
        print(f"          alone {_shown([f.accuracies[0] for f in alone[-1]])}", flush=True)
    conditions = {
        "target": str(work.context.target),
        "supernet": work.trained.key,
        "validation_images": arguments.validation or len(work.context.data.validation),
        "evaluations": arguments.evaluations,
        "seeds": arguments.seeds,
    }
    figures = _compared(budgets, together, alone)
    kind = arguments.data.partition(":")[0]
    name = f"many-budgets-{arguments.space}-{kind}-{arguments.searcher}-{arguments.evaluations}"
    details = {
        "conditions": conditions,
        "together": [dataclasses.asdict(found) for found in together],
        "alone": [[dataclasses.asdict(found) for found in row] for row in alone],
    }
    path = results_file.write("search", name, figures, **details)
    table = _table(arguments.searcher, conditions, figures)
    atomic_write(path.with_suffix(".md"), table)


def _search(problem: Problem, budgets: list[float], settings: Settings, seed: int) -> Found:
    """One search for all of the budgets."""
    asked = dataclasses.replace(problem, budgets=Budgets(tuple((ms,) for ms in budgets)))
    brief = asked.brief(seed, evaluations=settings.evaluations)
    searcher = Timed(make_searcher(settings.searcher, brief))
    with tempfile.TemporaryDirectory() as folder:
        records = search(
            asked,
            searcher,
            evaluations=settings.evaluations,
            record=Path(folder) / "evaluations.jsonl",
            lag=settings.lag,
        )
    best = best_within(front_among(records, asked.budgets), asked.budgets)
    took = problem.evaluate.seconds  # type: ignore[attr-defined]
    return Found(
        accuracies=[float("nan") if record is None else record.accuracy for record in best],
        evaluations=len(records),
        evaluating_seconds=sum(took[code.tobytes()] for code in searcher.asked),
        searcher_seconds=searcher.seconds,
    )


def _compared(
    budgets: list[float], together: list[Found], alone: list[list[Found]]
) -> dict[str, object]:
    """Accuracies in points, costs in seconds; means over the seeds."""
    one = 100 * np.array([found.accuracies for found in together])  # (seeds, budgets)
    own = 100 * np.array([[found.accuracies[0] for found in row] for row in alone])
    differences = one - own
    cost = float(np.mean([_seconds(found) for found in together]))
    cost_alone = float(np.mean([_seconds(found) for row in alone for found in row]))
    return {
        "budgets": [
            {
                "percentile": percentile,
                "budget_ms": budget,
                "together": float(one[:, i].mean()),
                "alone": float(own[:, i].mean()),
                "difference": float(differences[:, i].mean()),
                "standard_error": float(differences[:, i].std(ddof=1) / len(one) ** 0.5)
                if len(one) > 1
                else None,
            }
            for i, (percentile, budget) in enumerate(zip(PERCENTILES, budgets, strict=True))
        ],
        "mean_difference": float(differences.mean()),
        "least_mean_difference": float(differences.mean(axis=0).min()),
        "evaluations_together": float(np.mean([found.evaluations for found in together])),
        "evaluations_alone": float(np.mean([f.evaluations for row in alone for f in row])),
        "seconds_together": cost,
        "seconds_alone": cost_alone,
        "searcher_seconds_together": float(np.mean([f.searcher_seconds for f in together])),
        "searcher_seconds_alone": float(
            np.mean([f.searcher_seconds for row in alone for f in row])
        ),
        "cost_ratio": cost / cost_alone,
    }


def _seconds(found: Found) -> float:
    return found.evaluating_seconds + found.searcher_seconds


def _table(searcher: str, conditions: dict[str, object], figures: dict[str, object]) -> str:
    rows = [
        f"| {row['percentile']} | {row['budget_ms']:.3g} | {row['together']:.2f} | "
        f"{row['alone']:.2f} | {row['difference']:+.2f} |"
        for row in figures["budgets"]  # type: ignore[attr-defined]
    ]
    return "\n".join(
        [
            f"# One search for five budgets (`{searcher}`)",
            "",
            f"{conditions['evaluations']} evaluations per search, mean of {conditions['seeds']} "
            f"seeds, validation accuracy in % on {conditions['validation_images']} images; "
            f"latencies predicted on {conditions['target']}.",
            "",
            "| percentile of latency | budget, ms | one search for all | its own search | "
            "difference |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"One search for all took {figures['seconds_together']:.1f} s "
            f"({figures['searcher_seconds_together']:.1f} s of it the searcher's), a search for "
            f"one budget {figures['seconds_alone']:.1f} s "
            f"({figures['searcher_seconds_alone']:.1f} s): {figures['cost_ratio']:.2f} times.",
            "",
        ]
    )


def _shown(accuracies: list[float]) -> str:
    return " ".join(f"{accuracy:.2%}" for accuracy in accuracies)


if __name__ == "__main__":
    main()
