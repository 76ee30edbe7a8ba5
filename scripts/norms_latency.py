"""What a network takes with batch norm, which is folded before it runs, and with layer norm.

    python scripts/norms_latency.py --space hybrid-tiny --threads 2

The largest, the smallest and 10 random networks, each with both norms, take turns in a process of
their own. Written are milliseconds on the processor at hand, and ratios batch / layer.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import results_file

from nas.latency import Effort, Target, measure_finalists
from search_spaces import load_space
from search_spaces.space import SearchSpace

NORMS = ("batch", "layer")
RANDOM = 10


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="hybrid-tiny")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runtime", default="eager")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    named = load_space(asked.space)
    spaces = [SearchSpace(named.definition.model_copy(update={"norm": norm})) for norm in NORMS]
    random = named.sample(RANDOM, np.random.default_rng(0))
    codes = [named.largest(), named.smallest(), *random]
    networks = [space.decode(code) for code in codes for space in spaces]
    target = Target("cpu", runtime=asked.runtime, threads=asked.threads)
    found = measure_finalists(networks, target, effort=Effort(asked.seconds))
    ms = found.ms.reshape(-1, len(NORMS))
    ratios = ms[:, 0] / ms[:, 1]
    figures: dict[str, Any] = {
        "target": str(target),
        "ms with batch norm, with layer norm": ms.round(3).tolist(),
        "batch / layer": {
            "median": round(float(np.median(ratios)), 3),
            "from": round(float(ratios.min()), 3),
            "to": round(float(ratios.max()), 3),
        },
    }
    results_file.write(
        "latency", f"norms-{asked.space}-{asked.runtime}-{asked.threads}threads", figures
    )


if __name__ == "__main__":
    main()
