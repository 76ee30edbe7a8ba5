"""Children evaluated one after the other on all threads, or several at once on one thread each.

    python scripts/evaluation_threads.py --space photo-mobile --data folder:DIR
    python scripts/evaluation_threads.py --space hybrid-tiny --data digits

The same random children of an untrained supernet both ways, in turns; the first round is left out.
The table has seconds per child; `largest_difference_of_a_loss` compares the two ways.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from statistics import median

import numpy as np
import results_file
import torch

from nas.environment import torch_threads, usable_cpus
from nas.run.context import Context
from nas.search.evaluators import Evaluators, Here, on_threads
from nas.settings import Settings
from supernet import Supernet


def main() -> None:
    """Evaluate the children both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--space", required=True)
    parser.add_argument("--children", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    context, threads = Context(Settings(data=asked.data, space=asked.space)), usable_cpus()
    space, images = context.whole_space, context.evaluation_images
    supernet = Supernet(space, context.data.shape)
    codes = space.sample(asked.children, np.random.default_rng(0))
    seconds: dict[str, list[float]] = {"one after the other": [], "at once": []}
    losses: dict[str, list[float]] = {}

    def evaluate(code: np.ndarray) -> object:
        return images.evaluate(supernet, space.decode(code))

    def timed(way: str, evaluators: Evaluators) -> None:
        begun = time.perf_counter()
        for index, code in enumerate(codes):
            evaluators.submit(index, code)
        found: dict[int, float] = {}
        while len(found) < len(codes):
            found |= {i: each.evaluation.loss for i, each in evaluators.collect().items()}
        seconds[way].append((time.perf_counter() - begun) / len(codes))
        losses[way] = [found[i] for i in range(len(codes))]

    for _ in range(asked.rounds + 1):
        with torch_threads(threads):
            timed("one after the other", Here(evaluate, str))
        prepare = partial(torch.set_num_threads, 1)
        with torch_threads(1), on_threads(evaluate, str, threads, prepare) as evaluators:
            timed("at once", evaluators)
    rows = [{"way": way, "s": round(median(s[1:]), 3)} for way, s in seconds.items()]
    apart = np.abs(np.subtract(*losses.values())).max()
    results_file.write(
        "supernet",
        f"evaluation-threads-{asked.space}",
        {"threads": threads, "rows": rows, "largest_difference_of_a_loss": float(apart)},
    )


if __name__ == "__main__":
    main()
