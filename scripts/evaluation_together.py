"""A search whose children are evaluated together, and one that evaluates each on its own.

    python scripts/evaluation_together.py --space hybrid-tiny --data digits
    python scripts/evaluation_together.py --data folder:DIR --epochs 1 --evaluations 100

Both ask for the same children, and `equal` says whether all scores are the same. The seconds are
those of the whole searches, in turns. `parts_run` is the share of the children's parts that is run
when they are evaluated together. The supernet is trained first, or found in the cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import results_file
import supernet_work
import torch
from supernet_work import Opened

from nas.environment import keep_memory, torch_threads, usable_cpus
from nas.search.engine import search
from nas.search.evaluators import Together, on_threads
from nas.search.protocol import Codes
from nas.search.records import Record
from nas.search.searchers.registry import make_searcher
from nas.settings import Settings
from search_spaces.parts import parts_of
from supernet.scores import Evaluation
from supernet.tree import ChildrenTree

WAYS = ("each alone", "together")


def main() -> None:
    """Search both ways with each searcher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--searchers", nargs="*", default=["auto", "evolution"])
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    keep_memory()
    settings = Settings(space=asked.space, data=asked.data, epochs=asked.epochs)
    work = supernet_work.opened(settings)
    rows = [_row(work, name, asked.evaluations, asked.rounds) for name in asked.searchers]
    name = f"evaluation-together-{work.context.space.name}"
    results_file.write("supernet", name, {"threads": usable_cpus(), "rows": rows})


def _row(work: Opened, searcher: str, evaluations: int, rounds: int) -> dict[str, Any]:
    space, groups = work.context.space, []

    def together(codes: Sequence[Codes]) -> list[Evaluation]:
        children = [space.decode(code) for code in codes]
        groups.append(children)
        return work.trained.evaluator.all_of(children)

    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    found: dict[str, list[Record]] = {}
    for _ in range(rounds):
        for way in WAYS:
            begun = time.perf_counter()
            found[way] = _searched(
                work, searcher, evaluations, None if way == "each alone" else together
            )
            seconds[way].append(time.perf_counter() - begun)
    alone, both = (median(seconds[way]) for way in WAYS)
    scores = [[(each.id, each.accuracy, each.loss) for each in found[way]] for way in WAYS]
    return {
        "searcher": searcher,
        "evaluations": len(found["together"]),
        "children_in_a_group": round(sum(map(len, groups)) / len(groups), 2),
        "parts_run": round(_parts_run(work, groups), 3),
        "each_alone_s": round(alone, 2),
        "together_s": round(both, 2),
        "gain": round(alone / both, 3),
        "equal": scores[0] == scores[1],
    }


def _searched(
    work: Opened, searcher: str, evaluations: int, together: Together | None
) -> list[Record]:
    problem, threads = work.problem, usable_cpus()
    asking = make_searcher(searcher, problem.brief(0, evaluations=evaluations))
    with (
        tempfile.TemporaryDirectory() as folder,
        torch_threads(1),
        on_threads(
            problem.evaluate,
            problem.identify,
            threads,
            lambda: torch.set_num_threads(1),
            together,
        ) as evaluators,
    ):
        return search(
            problem,
            asking,
            evaluations=evaluations,
            record=Path(folder) / "evaluations.jsonl",
            evaluators=evaluators,
        )


def _parts_run(work: Opened, groups: Sequence[Sequence[Any]]) -> float:
    """Nodes of the trees over parts of the children."""
    nodes = parts = 0
    for group in groups:
        for side in {child.resolution for child in group}:
            own = [child for child in group if child.resolution == side]
            nodes += ChildrenTree(work.trained.supernet, dict(enumerate(own))).nodes
            parts += sum(len(parts_of(child, work.context.data.shape)) for child in own)
    return nodes / parts


if __name__ == "__main__":
    main()
