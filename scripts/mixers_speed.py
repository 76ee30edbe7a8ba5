"""Our mixers against their counterparts in timm: time of a forward pass on the processor.

    python scripts/mixers_speed.py
    python scripts/mixers_speed.py --only depthwise --only pool --rounds 10     a trial

Both run in turn, so that both see the machine at the same speed: one round times one after the
other, the first one of the round in turn. `ratio` is the median of the rounds' ratios, ours over
timm's, with the range of half of them. A slower one is above 1.1. Memory that was freed is kept,
as when a network is trained: what takes fresh memory for each map waits for the system, and which
of two equal modules does so is chance.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import results_file
import torch
from mixer_pairs import Pair, pairs

from nas.environment import keep_memory
from nas.latency.timing.machine import quiet

SLOWER = 1.1
LEAST_S = 2e-3
"""Shortest time of one round: fast modules run several times in it."""


def main() -> None:
    """Time each pair and write the table."""
    arguments = _arguments()
    keep_memory()
    rows = []
    with quiet(arguments.threads):
        for pair in pairs(arguments.batch_size):
            if not arguments.only or pair.family in arguments.only:
                rows.append(_compared(pair, arguments.rounds))
                print(rows[-1], flush=True)
    slower = [f"{row['family']}, {row['conditions']}" for row in rows if row["ratio"] > SLOWER]
    figures = {
        "pairs": len(rows),
        "families": len({row["family"] for row in rows}),
        "median_ratio": float(np.median([row["ratio"] for row in rows])),
        "slower": slower,
    }
    results_file.write("spaces", "mixers-speed", figures, rows=rows, threads=arguments.threads)


def _compared(pair: Pair, rounds: int) -> dict[str, Any]:
    calls = []
    for run in (pair.own, pair.theirs):
        run.module.eval()
        calls.append(run.call())
    repeats = [max(1, round(LEAST_S / _seconds(call, 3))) for call in calls]
    taken = np.empty((rounds, 2))
    for i, row in enumerate(taken):
        for which in (0, 1) if i % 2 else (1, 0):
            row[which] = _seconds(calls[which], repeats[which])
    ratios = taken[:, 0] / taken[:, 1]
    low, ratio, high = np.percentile(ratios, (25, 50, 75)).tolist()
    own, theirs = (np.median(taken, axis=0) * 1e3).tolist()
    return {
        "family": pair.family,
        "conditions": pair.conditions,
        "own_ms": own,
        "timm_ms": theirs,
        "ratio": ratio,
        "half_of_ratios": [low, high],
        "difference": pair.why,
    }


def _seconds(call: Callable[[], object], repeats: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="a family; can be repeated")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
