"""Searchers that take gradients of the supernet, against others at equal time.

    python scripts/gradient_searchers.py --evaluations 60 --seeds 5

Each gradient searcher makes the given number of evaluations. Its time is that of its gradients,
its own computations and its evaluations. Every other searcher may evaluate until the same time has
passed. The script evaluates each architecture once; the seconds of this evaluation count for every
search that asks it. Seconds are processor time on one thread, so other programs on
the machine do not count.

Hypervolume is of (error, predicted latency), up to the worst accuracy that any search saw and the
budget (without one, the greatest latency), as a share of that of all evaluations together.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from dataclasses import dataclass, field

import numpy as np
import results_file
import supernet_work
import torch

from nas.search import SEARCHERS, make_searcher
from nas.search.feasibility import SAMPLES
from nas.search.front import hypervolume
from nas.search.objectives import Budgets
from nas.search.problem import Problem
from nas.search.protocol import Codes, Floats
from nas.settings import Settings
from nas.storage import atomic_write

LEARNING = tuple(entry.name for entry in SEARCHERS if entry.needs == "supernet")
LAG = 8


@dataclass
class Evaluated:
    """Each architecture's objectives, and the seconds of their evaluation."""

    problem: Problem
    known: dict[bytes, tuple[Floats, float]] = field(default_factory=dict)

    def __call__(self, code: Codes) -> tuple[Floats, float]:
        """Objectives (error, ms) and seconds, from the first time the code was evaluated."""
        key = code.astype(np.int32).tobytes()
        if key not in self.known:
            start = time.process_time()
            evaluation = self.problem.evaluate(code)
            seconds = time.process_time() - start
            latency = self.problem.measures(code[None]).latency_ms[0]
            self.known[key] = self.problem.objectives(evaluation, latency), seconds
        return self.known[key]

    def mean_seconds(self) -> float:
        """Of one evaluation."""
        return float(np.mean([seconds for _, seconds in self.known.values()]))


@dataclass(frozen=True)
class Run:
    """One search: the objectives it was told, and its time after each evaluation."""

    objectives: Floats
    clock: Floats
    before: float
    """Seconds of the first ask, which include the gradients of the searchers that take them."""

    def until(self, seconds: float) -> Run:
        """The evaluations within these seconds, at least one."""
        n = max(1, int((self.clock <= seconds).sum()))
        return dataclasses.replace(self, objectives=self.objectives[:n], clock=self.clock[:n])


def main() -> None:
    """Search with all of them from several seeds, without and with a budget, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--hardware", default="a100", help="a GPU is predicted, on any machine")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--percentile", type=float, default=25.0, help="of latency, the budget")
    parser.add_argument("--validation", type=int, help="images to evaluate on; all by default")
    parser.add_argument("--against", nargs="+", default=["random", "evolution"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(
        space=arguments.space,
        data=arguments.data,
        hardware=arguments.hardware,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
    )
    work = supernet_work.opened(settings, arguments.validation)
    sampled = work.problem.space.sample(SAMPLES, np.random.default_rng(0))
    high = work.measures(sampled).high_ms[:, 0]
    tight = float(np.percentile(high, arguments.percentile))
    evaluated = Evaluated(work.problem)
    found: dict[float | None, list[dict[str, Run]]] = {None: [], tight: []}
    for seed in range(arguments.seeds):
        rows = []
        for budget, runs in found.items():
            runs.append(_searched(work, evaluated, budget, seed, arguments))
            rows += _compared(runs, budget, float(high.max()), arguments.against)
        conditions = {
            "target": str(work.context.targets[0]),
            "supernet": work.trained.key,
            "validation_images": arguments.validation or len(work.context.data.validation),
            "evaluations": arguments.evaluations,
            "seeds": seed + 1,
            "budget_percentile": arguments.percentile,
            "seconds_per_evaluation": evaluated.mean_seconds(),
        }
        _write(arguments, conditions, rows)


def _write(
    arguments: argparse.Namespace, conditions: dict[str, object], rows: list[dict[str, object]]
) -> None:
    """Write the figures of the seeds so far."""
    kind = arguments.data.partition(":")[0]
    name = f"gradient-searchers-{arguments.space}-{kind}"
    path = results_file.write("search", name, {"rows": rows}, conditions=conditions)
    atomic_write(path.with_suffix(".md"), _table(path.name, conditions, rows))


def _searched(
    work: supernet_work.Opened,
    evaluated: Evaluated,
    budget: float | None,
    seed: int,
    arguments: argparse.Namespace,
) -> dict[str, Run]:
    """Every searcher's run from one seed."""
    limits = Budgets() if budget is None else Budgets(((budget,),))
    problem = dataclasses.replace(work.problem, budgets=limits)
    runs = {
        name: _run(work, problem, evaluated, name, seed, arguments.evaluations)
        for name in LEARNING
    }
    longest = max(run.clock[-1] for run in runs.values())
    for name in arguments.against:
        runs[name] = _run(work, problem, evaluated, name, seed, None, longest)
    seen = ", ".join(f"{n} {len(r.clock)} in {r.clock[-1]:.1f} s" for n, r in runs.items())
    print(f"budget {budget}, seed {seed}: {seen}", flush=True)
    return runs


def _run(
    work: supernet_work.Opened,
    problem: Problem,
    evaluated: Evaluated,
    name: str,
    seed: int,
    evaluations: int | None,
    seconds: float = np.inf,
) -> Run:
    """One search, ended by a number of evaluations or of seconds."""
    gradients = work.context.gradients(work.trained.supernet)
    brief = problem.brief(seed, evaluations=evaluations, gradients=gradients)
    searcher = make_searcher(name, brief)
    asked: list[Codes] = []
    told: list[Floats] = []
    clock: list[float] = []
    spent = before = 0.0
    while spent < seconds and (evaluations is None or len(asked) < evaluations):
        start = time.process_time()
        if len(asked) >= LAG:
            done = len(asked) - LAG
            searcher.tell(asked[done][None], told[done][None])
        codes = searcher.ask(1)
        spent += time.process_time() - start
        before = before or spent
        if not len(codes):
            break
        objectives, took = evaluated(codes[0])
        spent += took
        asked.append(codes[0])
        told.append(objectives)
        clock.append(spent)
    return Run(np.stack(told), np.array(clock), before)


def _compared(
    runs: list[dict[str, Run]], budget: float | None, slowest: float, against: list[str]
) -> list[dict[str, object]]:
    """One row per gradient searcher: itself, and the others within its time."""
    every = np.concatenate([run.objectives for each in runs for run in each.values()])
    reference = np.array([every[:, 0].max(), budget or slowest])
    whole = hypervolume(every, reference)

    def share(run: Run) -> float:
        return float(hypervolume(run.objectives, reference)) / whole

    rows: list[dict[str, object]] = []
    for name in LEARNING:
        own = [each[name] for each in runs]
        row: dict[str, object] = {"searcher": name, "budget_ms": budget}
        row |= _figures(own, [share(run) for run in own])
        row["gradient_seconds"] = float(np.mean([run.before for run in own]))
        for other in against:
            cut = [each[other].until(each[name].clock[-1]) for each in runs]
            shares = [share(run) for run in cut]
            wins = sum(share(mine) > s for mine, s in zip(own, shares, strict=True))
            row[other] = _figures(cut, shares) | {"searcher_larger_in": f"{wins} of {len(own)}"}
        rows.append(row)
    return rows


def _figures(runs: list[Run], shares: list[float]) -> dict[str, object]:
    """Means over the seeds."""
    return {
        "evaluations": float(np.mean([len(run.clock) for run in runs])),
        "seconds": float(np.mean([run.clock[-1] for run in runs])),
        "hypervolume_share": float(np.mean(shares)),
        "hypervolume_share_std": float(np.std(shares)),
        "best_accuracy": float(np.mean([1.0 - run.objectives[:, 0].min() for run in runs])),
    }


def _table(source: str, conditions: dict[str, object], rows: list[dict[str, object]]) -> str:
    """The same as Markdown."""
    lines = [
        "# Searchers that take gradients, against others at equal time",
        "",
        f"From `{source}`, which holds the command. Conditions:",
        "",
        *[f"- {key.replace('_', ' ')}: {value}" for key, value in conditions.items()],
        "",
        "| budget | searcher | evaluations | seconds | hypervolume share | best accuracy "
        "| larger in |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        budget = row["budget_ms"]
        where = "none" if budget is None else f"{budget:.3g} ms"
        own = f"{row['searcher']} (gradients {row['gradient_seconds']:.1f} s)"
        lines.append(_line(where, own, row, ""))
        others = [key for key, value in row.items() if isinstance(value, dict)]
        for other in others:
            figures = row[other]
            assert isinstance(figures, dict)
            lines.append(_line("", f"{other} in that time", figures, "searcher_larger_in"))
    lines += ["", "Larger in: seeds in which the gradient searcher's hypervolume is the larger."]
    return "\n".join(lines) + "\n"


def _line(budget: str, name: str, figures: dict[str, object], wins: str) -> str:
    share = f"{figures['hypervolume_share']:.4f} ± {figures['hypervolume_share_std']:.4f}"
    cells = [
        budget,
        name,
        f"{figures['evaluations']:.0f}",
        f"{figures['seconds']:.1f}",
        share,
        f"{figures['best_accuracy']:.4f}",
        str(figures.get(wins, "")),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
