"""Speed of latency prediction on one core: architectures per second from codes.

    python scripts/latency_speed.py --space hybrid-cifar

The values in a profile do not matter for the speed, so a made-up profile is used and no latency is
measured. Also times sampling and de-duplicating 100,000 codes. Writes
`results/latency/speed-<space>.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from nas.environment import environment
from nas.latency import PartsPredictor, Target
from nas.latency.identity import parts_hash
from nas.latency.profiles.parts import PartsProfile, Terms
from nas.latency.profiles.profile import CONDITIONS
from nas.storage import atomic_write
from search_spaces.space import SearchSpace, load_space

RESULTS = Path(__file__).resolve().parents[1] / "results" / "latency"
ARCHITECTURES = 1_000_000
SAMPLED = 100_000
REPEATS = 5


def main() -> None:
    """Time both, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="hybrid-cifar")
    arguments = parser.parse_args()
    space = load_space(arguments.space)
    predictor = _made_up(space)
    rng = np.random.default_rng(0)
    codes = space.sample(ARCHITECTURES, rng)
    predict = _fastest(lambda: predictor.predict(codes))

    def sample_distinct() -> None:
        drawn = space.sample(SAMPLED, np.random.default_rng(1))
        packed = np.ascontiguousarray(drawn).view(f"V{drawn.itemsize * drawn.shape[1]}")
        np.unique(packed)

    figures = {
        "architectures_per_second": ARCHITECTURES / predict,
        "seconds_to_sample_and_deduplicate_100000": _fastest(sample_distinct),
    }
    document = {
        "command": f"python scripts/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip(),
        "conditions": f"{space.name}, one thread, fastest of {REPEATS}",
        "figures": figures,
        "environment": environment(),
    }
    for name, value in figures.items():
        print(f"{name}: {value:,.3f}")
    atomic_write(RESULTS / f"speed-{space.name}.json", json.dumps(document, indent=1) + "\n")


def _made_up(space: SearchSpace) -> PartsPredictor:
    index = space.part_index()
    n = len(index.parts)
    conditions = {**dict.fromkeys(CONDITIONS, "made up"), "parts": parts_hash(index)}
    ones = (1.0,) * n
    terms = Terms(0.1, 1.0, 0.0, 0.0)
    profile = PartsProfile(conditions, 0.1, {}, (), ones, ones, (1,) * n, terms)
    return PartsPredictor(space, Target("cpu"), profile)


def _fastest(run: object) -> float:
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()  # type: ignore[operator]
        times.append(time.perf_counter() - begin)
    return min(times)


if __name__ == "__main__":
    main()
