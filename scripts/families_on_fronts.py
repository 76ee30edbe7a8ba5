"""Which families of mixers the best networks of a run are made of, and how fast those are.

    nas search --space hybrid-wide-tiny --data cifar10:DIR --budget 1ms,2ms,4ms --out RUN
    python scripts/families_on_fronts.py RUN

A network is near the front if it has at most one point of accuracy less than the best evaluated
network that is no slower. For each family: how many networks of the front, of those within each
budget and of those near the front have a block of it; the share of random networks that have one;
the least, median and largest predicted latency of those near the front. Accuracies are those on
the shared weights, so differences of a point say little.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import results_file

from nas.progress import Silent
from nas.report.style import BLUE, FAINT, INK, VERMILLION, new_figures, percent, png
from nas.run.context import Context
from nas.run.folder import read_run
from nas.run.summary import front_of
from nas.run.supernets import supernet_of
from nas.search.engine import read_records
from nas.search.protocol import Bools, Floats
from nas.search.records import Record
from nas.storage import atomic_write
from search_spaces.architecture import Architecture

NEAR = 0.01
"""Accuracy below the best that is no slower, at which a network still counts as near the front."""
DRAWN, SHOWN = 2000, 30
"""Random networks that are counted; families that are drawn."""
Document: TypeAlias = dict[str, Any]


def main() -> None:
    """Count, print and draw."""
    asked = _arguments()
    context = Context(read_run(asked.run).settings)
    space = context.space
    records = [r for r in read_records(asked.run / "evaluations.jsonl") if not r.failed]
    near = [record for record, kept in zip(records, _near(records), strict=True) if kept]
    front = front_of(asked.run, context)
    drawn = space.sample(DRAWN, np.random.default_rng(0))
    groups = {
        "on the front": [member.code for member in front.members],
        "near the front": [record.code for record in near],
        "at random": drawn.tolist(),
        **{
            f"on the front within {limits[0]:g} ms": [member.code for member in members]
            for limits, members in zip(front.budgets.budget_sets, front.within(), strict=True)
            if limits[0] is not None
        },
    }
    kinds = {
        group: [_kinds(space.decode(np.array(code))) for code in codes]
        for group, codes in groups.items()
    }
    ms = np.array([record.latencies[0].predicted_ms for record in near])
    rows = _rows(kinds, ms)
    figures = {
        "networks": {"evaluated": len(records)}
        | {group: len(codes) for group, codes in groups.items()},
        "families": rows,
        "curve": supernet_of(context, Silent()).curve,
    }
    path = results_file.write("spaces", f"families-{space.name}", figures)
    atomic_write(path.with_suffix(".png"), _picture(records, near, kinds["near the front"], rows))


def _near(records: Sequence[Record]) -> Bools:
    """Which of the records are near the front: (n,)."""
    ms = np.array([record.latencies[0].predicted_ms for record in records])
    accuracy = np.array([record.accuracy for record in records])
    best = np.array([accuracy[ms <= each].max() for each in ms])
    near: Bools = accuracy >= best - NEAR
    return near


def _kinds(architecture: Architecture) -> set[str]:
    """The families of mixers of its blocks."""
    return {block.mixer.kind for stage in architecture.stages for block in stage.blocks}


def _rows(kinds: dict[str, list[set[str]]], ms: Floats) -> dict[str, Document]:
    """What is told of each family that is near the front, the commonest first."""
    near = kinds["near the front"]
    count = Counter(kind for each in near for kind in each)
    rows: dict[str, Document] = {}
    for kind, _ in sorted(count.items(), key=lambda item: (-item[1], item[0])):
        own = ms[[kind in each for each in near]]
        rows[kind] = {
            **{group: sum(kind in each for each in found) for group, found in kinds.items()},
            "at random": round(float(np.mean([kind in each for each in kinds["at random"]])), 3),
            "ms near the front": [
                round(float(x), 3) for x in (own.min(), np.median(own), own.max())
            ],
        }
    return rows


def _picture(
    records: Sequence[Record],
    near: Sequence[Record],
    kinds: Sequence[set[str]],
    rows: dict[str, Document],
) -> bytes:
    """Above all evaluated networks; below the latencies of each family's networks."""
    names = list(rows)[:SHOWN]
    heights = (2.6, 0.22 * len(names))
    figure, (above, below) = new_figures(7.2, 0.6 + sum(heights), heights)
    above.scatter(*_points(records), s=12, color=FAINT, linewidths=0, label="evaluated")
    above.scatter(*_points(near), s=16, color=BLUE, linewidths=0, label="near the front")
    above.set_ylabel("validation accuracy (%)")
    above.legend(frameon=False, loc="lower right")
    percent(above)
    for row, name in enumerate(names):
        own = [record for record, each in zip(near, kinds, strict=True) if name in each]
        below.scatter(_points(own)[0], [row] * len(own), s=14, color=VERMILLION, linewidths=0)
    below.set_yticks(range(len(names)), names, fontsize=8, color=INK)
    below.set_ylim(len(names) - 0.4, -0.6)
    below.set_xlabel("predicted latency (ms)")
    below.set_title("networks near the front with a block of the family", fontsize=10, loc="left")
    return png(figure)


def _points(records: Sequence[Record]) -> tuple[list[float], list[float]]:
    return [r.latencies[0].predicted_ms for r in records], [r.accuracy for r in records]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a run whose search has finished")
    return parser.parse_args()


if __name__ == "__main__":
    main()
