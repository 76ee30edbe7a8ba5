"""How many images a child's batch norms need: its loss, beside that from 2,500 images.

    python scripts/calibration_images.py --data folder:DIR --side 64 --epochs 5 --seeds 1

Random children of a trained supernet of `photo-mobile`, each calibrated on several numbers of
training images and judged on the validation images. The table has Spearman's rank correlation of
the losses with those from 2,500 images, the largest difference, and seconds of processor time for
a child.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import photographs_setup
import results_file
from photographs_setup import Photographs
from scipy.stats import spearmanr

from nas.run import evaluator
from nas.run.evaluator import EvaluationImages
from nas.settings import Settings

CHILDREN = 16
COUNTS = (2500, 1024, 512, 256, 128)


def main() -> None:
    """Train, evaluate with each number, and write the table."""
    asked = photographs_setup.arguments(__doc__).parse_args()
    photographs_setup.use_threads(asked.threads)
    rows = [row for seed in photographs_setup.seeds(asked) for row in _rows(asked, seed)]
    results_file.write("supernet", f"calibration-images-{asked.side}px", {"rows": rows})


def _rows(asked: argparse.Namespace, seed: int) -> list[dict[str, float]]:
    settings = Settings(
        data=asked.data,
        space="photo-mobile",
        seed=seed,
        epochs=asked.epochs,
        recipe=photographs_setup.recipe(asked),
    )
    context = Photographs(settings, asked.side)
    supernet, space = context.trained(context.supernet()), context.whole_space
    drawn = space.sample(CHILDREN, np.random.default_rng(seed))
    rows: list[dict[str, float]] = []
    most: np.ndarray | None = None
    for count in COUNTS:
        evaluator.CALIBRATION_IMAGES = count
        images, begun = EvaluationImages(context.data), time.process_time()
        losses = np.array([images.evaluate(supernet, space.decode(c)).loss for c in drawn])
        seconds = (time.process_time() - begun) / CHILDREN
        most = losses if most is None else most
        rows.append(
            {
                "seed": seed,
                "images": count,
                "processor_s": round(seconds, 2),
                "spearman": round(float(spearmanr(losses, most).statistic), 3),
                "largest_difference_of_a_loss": round(float(np.abs(losses - most).max()), 4),
                "spread_of_the_losses": round(float(losses.std()), 4),
            }
        )
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
