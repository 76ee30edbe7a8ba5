"""Training and evaluating with memory that is kept, or given back to the system at once.

    python scripts/kept_memory.py --data folder:DIR

A training step of `photo-mobile` on 32 images and the evaluation of a child, from new weights, on
all processors. `kept` is what the commands of `nas` that train choose
(`nas.environment.keep_memory`), `given back` is the C library's default. Each way is a process of
its own, in turns; the table has medians, and the most memory that a process took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from statistics import median
from typing import Any

import results_file

STEPS, CHILDREN = 6, 3


def main() -> None:
    """Run the ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way is not None:
        print(json.dumps(_measured(asked.data, asked.way == "kept")))
        return
    found: dict[str, list[dict[str, float]]] = {"given back": [], "kept": []}
    for _ in range(asked.rounds):
        for way, rows in found.items():
            rows.append(_apart(asked.data, way))
    table: list[dict[str, Any]] = [
        {"way": way} | {name: round(median(row[name] for row in rows), 3) for name in rows[0]}
        for way, rows in found.items()
    ]
    results_file.write("reliability", "kept-memory", {"rows": table}, each=found)


def _apart(data: str, way: str) -> dict[str, float]:
    ours = ("OMP_NUM_THREADS", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    done = subprocess.run(
        [sys.executable, __file__, "--data", data, "--way", way],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    row: dict[str, float] = json.loads(done.stdout)
    return row


def _measured(data: str, keep: bool) -> dict[str, float]:
    from nas.environment import keep_memory, share_processors, usable_cpus

    share_processors()
    if keep:
        keep_memory()
    import numpy as np
    import torch

    from nas.run.context import Context
    from nas.settings import Settings
    from supernet import Supernet

    context = Context(Settings(data=data, space="photo-mobile", pretrained="none"))
    torch.set_num_threads(usable_cpus())
    space, batches = context.whole_space, context.training_batches(0)
    supernet = Supernet(space, context.data.shape)
    rng = np.random.default_rng(0)
    codes = [space.largest(), space.smallest(), *space.sample(2, rng)]
    children = [space.decode(code) for code in codes]

    def step(number: int) -> None:
        for child in children:
            batch = batches.batch(number, 32, child.resolution)
            supernet(batch.images, child).sum().backward()

    step(0)
    begun, faults = time.perf_counter(), _faults()
    for number in range(1, STEPS + 1):
        step(number)
    seconds, faults = (time.perf_counter() - begun) / STEPS, _faults() - faults
    images = context.evaluation_images
    images.evaluate(supernet, children[2])
    begun = time.perf_counter()
    for child in children[:CHILDREN]:
        images.evaluate(supernet, child)
    return {
        "step_s": seconds,
        "page_faults_per_step": faults / STEPS,
        "evaluation_s": (time.perf_counter() - begun) / CHILDREN,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if __name__ == "__main__":
    main()
