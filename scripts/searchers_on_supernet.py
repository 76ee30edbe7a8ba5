"""Compares searchers on one supernet trained on real images, with equal evaluations.

    python scripts/searchers_on_supernet.py --data fashion-mnist:DIR --space hybrid-deep \
        --epochs 3 --searcher auto --searcher random --seeds 10

All search the same shared weights for the same target, one ask at a time. Hypervolume is of
(error, predicted latency), up to the worst accuracy and the largest latency that any search saw.
The script evaluates each architecture once, and appends every evaluation to the file given by
--cache, so it can be stopped and run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import results_file
import supernet_work

from nas.search import make_searcher
from nas.search.front import hypervolume
from nas.search.protocol import Codes, Floats, Searcher
from nas.settings import Settings
from nas.storage import append_line, read_lines

CHECKPOINTS = (50, 100, 200)


class Errors:
    """The error of each architecture, evaluated once."""

    def __init__(self, work: supernet_work.Opened, cache: Path | None) -> None:
        self._work, self._cache = work, cache
        self._known: dict[str, float] = {}
        if cache is not None and cache.exists():
            self._known = {line["code"]: line["error"] for line in read_lines(cache)}

    def __call__(self, code: Codes) -> float:
        """The error of a code (genes,)."""
        key = " ".join(map(str, code.tolist()))
        if key not in self._known:
            self._known[key] = 1.0 - self._work.problem.evaluate(code).accuracy
            if self._cache is not None:
                append_line(self._cache, {"code": key, "error": self._known[key]})
        return self._known[key]


def main() -> None:
    """Search with each from several seeds and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--hardware", default="jetson-orin", help="predicted, wherever this runs")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--searcher", action="append", dest="searchers")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--validation", type=int, default=500, help="images to evaluate on")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cache", type=Path, help="file of evaluations to go on from")
    arguments = parser.parse_args()
    names = arguments.searchers or ["auto", "evolution", "random"]
    settings = Settings(
        data=arguments.data,
        space=arguments.space,
        epochs=arguments.epochs,
        hardware=arguments.hardware,
        batch_size=arguments.batch_size,
        evaluations=arguments.evaluations,
    )
    work = supernet_work.opened(settings, arguments.validation)
    curve = {k: round(v, 4) for k, v in work.trained.curve[-1].items()}
    errors = Errors(work, arguments.cache)
    found: dict[str, list[Floats]] = {name: [] for name in names}
    seconds = dict.fromkeys(names, 0.0)
    repeats = dict.fromkeys(names, 0)
    for seed in range(arguments.seeds):
        for name in names:
            brief = work.problem.brief(seed, evaluations=arguments.evaluations)
            # Foreign searchers may repeat codes, as they do by themselves.
            searcher = make_searcher(name, dataclasses.replace(brief, may_repeat=True))
            codes, points, spent = _search(work, searcher, errors, arguments.evaluations)
            found[name].append(points)
            repeats[name] += len(codes) - len(np.unique(codes, axis=0))
            seconds[name] += spent
        print(f"seed {seed}", flush=True)
        _write(arguments, names, found, seconds, repeats, curve, seed + 1)


def _search(
    work: supernet_work.Opened, searcher: Searcher, errors: Errors, evaluations: int
) -> tuple[Codes, Floats, float]:
    """Codes and objectives, (n, 2), as they were evaluated, and the searcher's own seconds."""
    codes, points, seconds = [], [], 0.0
    for _ in range(evaluations):
        started = time.process_time()
        code = searcher.ask(1)
        seconds += time.process_time() - started
        if not len(code):
            break
        row = np.append(errors(code[0]), work.problem.known_objectives(code)[0])
        codes.append(code[0])
        points.append(row)
        started = time.process_time()
        searcher.tell(code, row[None])
        seconds += time.process_time() - started
    return np.stack(codes), np.stack(points), seconds


def _write(
    arguments: argparse.Namespace,
    names: list[str],
    found: dict[str, list[Floats]],
    seconds: dict[str, float],
    repeats: dict[str, int],
    curve: dict[str, float],
    seeds: int,
) -> None:
    everything = np.concatenate([points for runs in found.values() for points in runs])
    reference = everything.max(axis=0)
    volumes = {
        name: [
            [float(hypervolume(points[:n], reference)) for n in CHECKPOINTS]
            for points in found[name]
        ]
        for name in names
    }
    means = {name: np.mean(volumes[name], axis=0) for name in names}
    first = names[0]
    figures = {
        "evaluations": [n for n in CHECKPOINTS if n <= arguments.evaluations],
        "mean_hypervolume": {name: [round(float(v), 5) for v in means[name]] for name in names},
        "mean_best_accuracy": {
            name: round(float(np.mean([1 - points[:, 0].min() for points in found[name]])), 5)
            for name in names
        },
        f"{first}_larger_in": {
            name: sum(a[-1] > b[-1] for a, b in zip(volumes[first], volumes[name], strict=True))
            for name in names[1:]
        },
        "searcher_seconds_per_evaluation": {
            name: round(seconds[name] / seeds / arguments.evaluations, 5) for name in names
        },
        "repeats": repeats,
    }
    kind = arguments.data.partition(":")[0]
    results_file.write(
        "search",
        f"supernet-{arguments.space}-{kind}-{arguments.evaluations}",
        figures,
        seeds=seeds,
        validation_images=arguments.validation,
        supernet=curve,
        hypervolumes=volumes,
    )


if __name__ == "__main__":
    main()
