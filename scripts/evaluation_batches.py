"""How many images children are evaluated on at once: time and scores by the pixels of a batch.

    python scripts/evaluation_batches.py --data folder:DIR --side 64

Random children of `photo-mobile` on a supernet that was not trained, one thread; the sizes take
turns. The table has the median seconds of processor time for a child, and the largest difference
of a loss from that with `nas.run.evaluator.PIXELS`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import photographs_setup
import results_file
from photographs_setup import Photographs

from nas.run import evaluator
from nas.settings import Settings

PIXELS = (2**14, 2**16, 2**18, 2**20, 2**22)


def main() -> None:
    """Evaluate the same children with each size of batches."""
    parser = photographs_setup.arguments(__doc__)
    parser.add_argument("--children", type=int, default=6)
    asked = parser.parse_args()
    photographs_setup.use_threads(asked.threads)
    context = Photographs(Settings(data=asked.data, space="photo-mobile"), asked.side)
    supernet, whole = context.supernet(), context.whole_space
    children = [whole.decode(c) for c in whole.sample(asked.children, np.random.default_rng(0))]
    usual = evaluator.PIXELS
    seconds: dict[int, list[float]] = {pixels: [] for pixels in PIXELS}
    losses: dict[int, list[float]] = {pixels: [] for pixels in PIXELS}
    for child in children:
        for pixels in PIXELS:
            evaluator.PIXELS = pixels
            begun = time.process_time()
            losses[pixels].append(context.evaluation_images.evaluate(supernet, child).loss)
            seconds[pixels].append(time.process_time() - begun)
    rows: list[dict[str, Any]] = []
    for pixels in PIXELS:
        evaluator.PIXELS = pixels
        apart = np.abs(np.array(losses[pixels]) - losses[usual])
        sizes = {str(r): evaluator.batch_size_at(r) for r in whole.definition.resolution}
        rows.append(
            {
                "pixels": pixels,
                "images_by_resolution": sizes,
                "processor_s": round(float(np.median(seconds[pixels])), 3),
                "largest_difference_of_a_loss": round(float(apart.max()), 4),
            }
        )
    results_file.write("supernet", f"evaluation-batches-{asked.side}px", {"rows": rows})


if __name__ == "__main__":
    main()
