"""A search on a person's photographs as `nas search` makes it, and what it found beside others.

    python scripts/photographs_search.py --data folder:DIR --budget 10ms

The table has every network on the test split: the front with the supernet's weights, those that
were trained alone, and the stock networks; `verdict` is the sentence that the person reads.
Written to `results/photographs/search-<data>-<budgets>.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from results_file import write

from nas import pipeline
from nas.result import RunResult
from nas.storage import read_json

PROGRAM = [sys.executable, "-c", "from nas.cli import main; main()"]


def main() -> None:
    """Search, or continue, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder:DIR")
    parser.add_argument("--budget", default="10ms", help="one or several: 5ms,10ms")
    parser.add_argument("--epochs", type=int, help="of the supernet; the recipe's by default")
    parser.add_argument("--evaluations", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path, default=Path("results/photographs-run"))
    asked = parser.parse_args()
    words = ["search", "--hardware", "cpu", "--budget", asked.budget, "--data", asked.data]
    options = ("epochs", "evaluations", "threads", "seed")
    for option in (o for o in options if getattr(asked, o) is not None):
        words += [f"--{option}", str(getattr(asked, option))]
    begin = time.monotonic()
    subprocess.run([*PROGRAM, *words, "--out", str(asked.out)], check=True)
    seconds = time.monotonic() - begin
    result = pipeline.resume(asked.out)  # it is finished: this reads it
    name = Path(asked.data.partition(":")[2]).name
    budgets = asked.budget.replace(",", "-")
    write("photographs", f"search-{name}-{budgets}", figures(result, seconds))


def figures(result: RunResult, seconds: float) -> dict[str, Any]:
    """What was recommended, and all networks beside each other."""
    steps = read_json(result.path / "steps.json")["steps"]
    document = json.loads(json.dumps(result.to_dict()))
    kept = (
        *("id", "accuracy", "shared_test_accuracy", "shared_test_accuracy_interval"),
        *("test_accuracy", "test_accuracy_interval", "latencies", "params"),
    )
    return {
        "seconds": round(seconds, 1),
        "seconds_by_step": {name: step["seconds"] for name, step in steps.items()},
        "recommended": [
            {"id": each.id, "reason": each.reason, "verdict": each.verdict}
            for each in result.recommended
        ],
        "front": [{k: m[k] for k in kept if k in m} for m in document["front"]],
        "stock": [{k: v for k, v in s.items() if k != "path"} for s in document["stock"]],
        "notes": list(result.notes),
    }


if __name__ == "__main__":
    main()
