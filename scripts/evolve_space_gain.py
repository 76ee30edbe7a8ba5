"""Random children of an evolved space against those of the space it began with, at equal cost.

    python scripts/evolve_space_gain.py --epochs 20 --generations 1 --seeds 3

With `--space results/search/evolve-space-narrow.yaml` it begins with a space that leaves much to
improve.

Each seed splits the data again, evolves the space, and draws fresh children of every generation's
space. All supernets are trained with one recipe for equally many steps. Children are matched:
where the two spaces overlap, equally many of each are taken from every eighth of the pooled range
of MACs, or of latency as predicted for `--hardware`. Accuracies are of the validation split, which
the evolution used too, but with other children.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import results_file

from nas.commands.evolve_space import evolve_space
from nas.latency import CostTable, Target, predictor_for
from nas.progress import Silent
from nas.run.context import Context
from nas.run.supernets import supernet_of
from nas.settings import Settings
from nas.space_evolution.costs import Limits
from nas.space_evolution.request import Request
from nas.units import parse_count

BINS = 8


class Said(Silent):
    """Prints the progress."""

    def say(self, message: str) -> None:
        """One line."""
        print(f"  {message}", flush=True)


def main() -> None:
    """Evolve from each seed and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--generations", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--children", type=int, default=200, help="of each space, to compare")
    parser.add_argument("--max-macs", type=parse_count)
    parser.add_argument("--hardware", default="a100", help="matched by latency predicted for it")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the evolutions, and continue them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        rows = [_seed(arguments, folder, seed) for seed in range(arguments.seeds)]
    gains = {
        matched: [row["generations"][-1][matched]["gain"] for row in rows]
        for matched in ("equal_macs", "equal_latency")
    }
    figures = {
        f"mean_gain_in_points_at_{matched}": {
            "mean": float(np.mean(found)),
            "standard_error": float(np.std(found, ddof=1) / len(found) ** 0.5),
            "by_seed": found,
        }
        for matched, found in gains.items()
    }
    kind = arguments.data.partition(":")[0]
    space = Path(arguments.space).stem.removeprefix("evolve-space-")
    name = f"evolve-space-{space}-{kind}"
    target = str(Target(arguments.hardware, batch_size=arguments.batch_size))
    results_file.write("search", name, figures, seeds=rows, latency_predicted_for=target)


def _seed(arguments: argparse.Namespace, folder: Path, seed: int) -> dict[str, object]:
    """Evolve, then compare each generation with the first."""
    settings = Settings(
        space=arguments.space, data=arguments.data, epochs=arguments.epochs, seed=seed
    )
    out = folder / f"seed-{seed}"
    limits = Limits(max_macs=arguments.max_macs)
    request = Request(settings, limits=limits, evaluations=arguments.evaluations)
    outcome = evolve_space(request, arguments.generations, out=out, console=Said())
    print("\n".join(outcome.lines), flush=True)
    spaces = [_children(arguments, settings, path) for path in outcome.document["spaces"]]
    generations = []
    for number, (evolved, generation) in enumerate(
        zip(spaces[1:], outcome.document["generations"], strict=True), start=1
    ):
        entry = {
            "generation": number,
            "moved": [
                f"{d['dimension']}: {d['reason']}"
                for d in generation["dimensions"]
                if d["decision"] in ("shifted", "narrowed", "dropped")
            ],
            "architectures": generation["size_after"],
            "unmatched_mean_accuracy": float(evolved["accuracy"].mean()),
            "equal_macs": _compared(spaces[0], evolved, "macs"),
            "equal_latency": _compared(spaces[0], evolved, "ms"),
        }
        print(seed, entry["equal_macs"], entry["equal_latency"], flush=True)
        generations.append(entry)
    first = float(spaces[0]["accuracy"].mean())
    return {"seed": seed, "initial_mean_accuracy": first, "generations": generations}


def _children(
    arguments: argparse.Namespace, settings: Settings, path: str
) -> dict[str, np.ndarray]:
    """Fresh random children of a space: accuracy, MACs, predicted latency."""
    context = Context(settings.model_copy(update={"space": str(Path(path).absolute())}))
    space, data = context.whole_space, context.data
    evaluator = supernet_of(context, Silent()).evaluator
    rng = np.random.default_rng((settings.seed, 1000))
    codes = np.unique(space.sample(2 * arguments.children, rng), axis=0)
    table = CostTable(space, data.shape)
    if arguments.max_macs is not None:
        codes = codes[table.macs(codes) <= arguments.max_macs]
    codes = rng.permutation(codes)[: arguments.children]
    target = Target(arguments.hardware, batch_size=arguments.batch_size)
    scores = [evaluator(space.decode(code)) for code in codes]
    return {
        "accuracy": np.array([score.accuracy for score in scores]),
        "macs": table.macs(codes),
        "ms": np.asarray(predictor_for(space, target, data.shape).predict(codes).ms),
    }


def _compared(
    first: dict[str, np.ndarray], evolved: dict[str, np.ndarray], cost: str
) -> dict[str, object]:
    """Mean accuracies of children matched by a cost, and the gain in points."""
    low = max(first[cost].min(), evolved[cost].min())
    high = min(first[cost].max(), evolved[cost].max())
    pooled = np.log(np.concatenate([first[cost], evolved[cost]]))
    pooled = pooled[(pooled >= np.log(low)) & (pooled <= np.log(high))]
    edges = np.quantile(pooled, np.linspace(0, 1, BINS + 1))[1:-1]
    taken: tuple[list[int], list[int]] = ([], [])
    for number in range(BINS):
        rows = [_in_bin(s[cost], low, high, edges, number) for s in (first, evolved)]
        n = min(map(len, rows))
        for kept, found in zip(taken, rows, strict=True):
            kept.extend(found[:n])
    before, after = first["accuracy"][taken[0]], evolved["accuracy"][taken[1]]
    errors = [100 * a.std(ddof=1) / len(a) ** 0.5 for a in (before, after)]
    return {
        "matched_children": len(before),
        "initial": [100 * float(before.mean()), float(errors[0])],
        "evolved": [100 * float(after.mean()), float(errors[1])],
        "gain": 100 * float(after.mean() - before.mean()),
        "standard_error": float(np.hypot(*errors)),
        "mean_cost": [float(first[cost][taken[0]].mean()), float(evolved[cost][taken[1]].mean())],
    }


def _in_bin(
    costs: np.ndarray, low: float, high: float, edges: np.ndarray, number: int
) -> np.ndarray:
    inside = (costs >= low) & (costs <= high)
    return np.flatnonzero(inside & (np.digitize(np.log(costs), edges) == number))


if __name__ == "__main__":
    main()
