"""The fronts of several runs on the same photographs, such as two spaces, in one picture.

    nas search --space photo-mobile --data folder:DIR --budget 4ms,6ms,10ms --baselines none \
        --retrain-top 0 --out MOBILE
    nas search --space photo-hybrid --data folder:DIR --budget 4ms,6ms,10ms --baselines none \
        --retrain-top 0 --epochs 4 --out HYBRID
    python scripts/photographs_fronts.py MOBILE HYBRID

For equal time a space whose steps take longer gets fewer epochs; `seconds` says what each step of
a run took. Accuracies are those of the shared weights on the test split, latencies are measured.
For each budget the network with the least validation loss among those within it is named.
"""

from __future__ import annotations

import argparse
from itertools import cycle
from pathlib import Path
from typing import Any

import results_file

from nas import pipeline
from nas.report.style import BLUE, GREEN, PURPLE, VERMILLION, new_figure, percent, png
from nas.result import FrontMember, RunResult
from nas.run.context import Context
from nas.run.folder import read_run
from nas.storage import atomic_write, read_json

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)


def main() -> None:
    """Read the runs, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--name", default="fronts")
    asked = parser.parse_args()
    results = {_name(path): pipeline.resume(path) for path in asked.runs}  # finished: these read
    figures = {name: _figures(result) for name, result in results.items()}
    path = results_file.write("photographs", asked.name, figures)
    atomic_write(path.with_suffix(".png"), _picture(results))


def _name(run: Path) -> str:
    """Space and the name of the folder: two runs may be of one space."""
    return f"{Context(read_run(run).settings).space.name}, {run.name}"


def _figures(result: RunResult) -> dict[str, Any]:
    steps = read_json(result.path / "steps.json")["steps"]
    return {
        "seconds": {name: round(step["seconds"]) for name, step in steps.items()},
        "front": [_row(member) for member in sorted(result.front, key=_ms)],
        "within": {f"{ms:g} ms": _best(result, ms) for ms in _budgets(result)},
    }


def _budgets(result: RunResult) -> list[float]:
    return [each.limits_ms[0] for each in result.answers if each.limits_ms[0] is not None]


def _best(result: RunResult, ms: float) -> dict[str, Any] | None:
    within = [member for member in result.front if _ms(member) <= ms]
    return _row(min(within, key=lambda member: member.loss)) if within else None


def _ms(member: FrontMember) -> float:
    return member.latencies[0].ms


def _row(member: FrontMember) -> dict[str, Any]:
    return {
        "id": member.id,
        "ms": round(_ms(member), 2),
        "test": member.shared_test_accuracy,
        "mixers": sorted({b.mixer.kind for s in member.architecture.stages for b in s.blocks}),
    }


def _picture(results: dict[str, RunResult]) -> bytes:
    figure, axes = new_figure()
    for (name, result), colour in zip(results.items(), cycle(COLOURS), strict=False):
        front = sorted(result.front, key=_ms)
        tested = [member.shared_test_accuracy for member in front]
        axes.plot(
            [_ms(member) for member in front],
            tested,  # type: ignore[arg-type]  # a finished run has tested them
            "o-",
            color=colour,
            markersize=5,
            linewidth=1,
            label=name,
        )
    axes.set_xlabel("measured latency (ms)")
    axes.set_ylabel("test accuracy, shared weights (%)")
    axes.legend(frameon=False, loc="lower right")
    percent(axes)
    return png(figure)


if __name__ == "__main__":
    main()
