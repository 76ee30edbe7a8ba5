"""How the time of each mixer grows with the number of tokens, on the processor.

    python scripts/mixers_linear.py
    python scripts/mixers_linear.py --only linear --only attention --rounds 5     a trial

The exponent is the slope of log(time) over log(tokens), by least squares over maps of 14 x 14,
28 x 28 and 56 x 56 positions; the sizes take turns. A family claims to be linear if its counted
multiply-accumulates grow with an exponent of at most 1.05, or if it is of the group `linear`.
Families of the group `spectral` do not: a Fourier transform of n positions takes n log n.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import results_file
import torch
from torch import nn

from nas.latency.timing.machine import quiet
from nas.latency.tracing.operations import macs
from nas.latency.tracing.trace import trace
from search_spaces.family import MIXERS, Family

SIDES = (14, 28, 56)
TOKENS = [side * side for side in SIDES]
COUNTED, ALLOWED = 1.05, 1.2


def main() -> None:
    """Time each family and write the table."""
    arguments = _arguments()
    rows = []
    with quiet(arguments.threads):
        for family in MIXERS:
            if not arguments.only or family.name in arguments.only:
                rows.append(_grown(family, arguments))
                print(rows[-1], flush=True)
    claimed = [row for row in rows if row["claims_linear"]]
    figures = {
        "families": len(rows),
        "claim_linear": len(claimed),
        "greatest_exponent_of_these": max((row["exponent"] for row in claimed), default=None),
        "beyond_1.2": [row["family"] for row in claimed if row["exponent"] > ALLOWED],
    }
    results_file.write("spaces", "mixers-linear", figures, rows=rows, threads=arguments.threads)


def _grown(family: Family, arguments: argparse.Namespace) -> dict[str, Any]:
    module = family.module(arguments.width, family.options()).eval()
    taken = _times(module, arguments.width, arguments.rounds)
    counted = [macs(trace(module, (1, arguments.width, s, s))) for s in SIDES]
    macs_exponent = _slope(counted) if min(counted) > 0 else None
    few = macs_exponent is None or macs_exponent <= COUNTED
    return {
        "family": family.name,
        "group": family.group,
        "ms": {str(side): ms for side, ms in zip(SIDES, taken, strict=True)},
        "exponent": _slope(taken),
        "macs_exponent": macs_exponent,
        "claims_linear": family.group == "linear" or (few and family.group != "spectral"),
    }


def _times(module: nn.Module, width: int, rounds: int) -> list[float]:
    """Median milliseconds on each size."""
    maps = [torch.randn(1, width, side, side) for side in SIDES]
    maps = [x.contiguous(memory_format=torch.channels_last) for x in maps]
    taken = np.empty((rounds + 1, len(maps)))
    for row in taken:
        for i, x in enumerate(maps):
            start = time.perf_counter()
            module(x)
            row[i] = time.perf_counter() - start
    medians: list[float] = (np.median(taken[1:], axis=0) * 1e3).tolist()
    return medians


def _slope(values: Sequence[float]) -> float:
    return float(np.polyfit(np.log(TOKENS), np.log(values), 1)[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="a family; can be repeated")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
