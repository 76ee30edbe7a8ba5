"""Whether the network that a search chooses is better with `--verify K` than without.

    python scripts/verify_gain.py --data fashion-mnist:DIR --images 4000 --seeds 5 --verify 10

Each seed draws other images, trains a supernet and searches it within a limit of multiply-adds.
Without `--verify` the best of the front is what the supernet says; with it, what the corrected
scores say. Both networks are then trained alone from new weights by the usual, long recipe, with
two seeds each, and scored on the test images, which neither the search nor the correction has
seen. How well the scores rank the K networks stands beside. The interval of the mean gain is
Student's, over the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import drawn_images
import numpy as np
import results_file
from scipy.stats import t as student

from nas import pipeline
from nas.progress import Silent
from nas.ranking.result import read_ranking
from nas.result import FrontMember
from nas.retrain import default_recipe, fresh_network, retrain, score_test
from nas.run.context import Context
from nas.run.verify import verified_members
from nas.search.front_file import ranked, read_front
from nas.settings import Settings
from nas.storage import append_line, read_lines
from nas.units import parse_count

SEEDS_ALONE = 2


class Said(Silent):
    """Prints the progress."""

    def say(self, message: str) -> None:
        """One line."""
        print(f"  {message}", flush=True)


def main() -> None:
    """Search with each seed, train what was chosen, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--images", type=int, default=4000, help="for training")
    parser.add_argument("--max-macs", type=parse_count)
    parser.add_argument("--verify", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, required=True, help="of the runs; continued")
    asked = parser.parse_args()
    rows = read_lines(asked.folder / "rows.jsonl")
    for seed in range(len(rows), asked.seeds):
        row = _row(asked, seed)
        append_line(asked.folder / "rows.jsonl", row)
        rows.append(row)
        print(row, flush=True)
    gains = np.array([row["gain_points"] for row in rows])
    half = float(student.ppf(0.95, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))
    figures = {
        "mean gain, points": round(float(gains.mean()), 3),
        "90 % interval": [round(float(gains.mean() + sign * half), 3) for sign in (-1, 1)],
        "seeds": rows,
    }
    results_file.write("search", f"verify-gain-{asked.space}-{asked.verify}", figures)


def _row(asked: Any, seed: int) -> dict[str, Any]:
    images = asked.folder / f"images-{seed}.npz"
    drawn_images.draw(asked.data, asked.images, seed, images)
    settings = Settings(
        data=f"npz:{images}",
        space=asked.space,
        seed=seed,
        hardware="a100",  # its latencies are predicted, so that nothing is measured
        max_macs=asked.max_macs,
        evaluations=asked.evaluations,
        verify=asked.verify,
    )
    run = asked.folder / f"run-{seed}"
    pipeline.run(settings, out=run, until="verify", console=Said())
    context = Context(settings)
    plain = ranked(read_front(run / "front.json"), "accuracy")[0]
    verified = ranked(verified_members(run) or [], "accuracy")[0]
    without = _alone(context, plain)
    found = without if verified.id == plain.id else _alone(context, verified)
    ranking = read_ranking(run)
    assert ranking is not None and verified.corrected is not None
    return {
        "seed": seed,
        "without": plain.id,
        "with": verified.id,
        "test_without": round(without, 4),
        "test_with": round(found, 4),
        "gain_points": round(100 * (found - without), 3),
        "expected": str(verified.corrected),
        "tau": {each.score: round(each.tau.value, 3) for each in ranking.agreements},
    }


def _alone(context: Context, member: FrontMember) -> float:
    """Mean test accuracy of trainings from new weights by the usual recipe."""
    recipe = default_recipe(True, len(context.data.train))
    scores = []
    for seed in range(SEEDS_ALONE):
        network = fresh_network(member.architecture, context.data.shape, seed)
        retrain(network, context.retraining_batches(seed), recipe, seed=seed)
        scores.append(score_test(network, context.dataset).accuracy)
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
