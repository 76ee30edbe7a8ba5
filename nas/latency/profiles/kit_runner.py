"""Measure the probes beside this file. Needs Python with onnxruntime and numpy, nothing else.

    python run_probes.py                 # writes times.csv
    python run_probes.py --threads 4 --seconds 60 --provider XnnpackExecutionProvider

The probes take turns in random order over several rounds, so that a slow minute hits all alike.
Each visit runs a probe once to warm up and then three times. The result is the median.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
FEWEST_ROUNDS = 5
PASSES = 3


def main() -> None:
    """Measure and write."""
    arguments = _arguments()
    with open(HERE / "probes.csv", newline="") as file:
        names = {row["id"]: HERE / row["file"] for row in csv.DictReader(file)}
    runs = {name: _session(path, arguments) for name, path in names.items()}
    times = measure(runs, arguments.seconds)
    with open(arguments.out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "ms", "spread"))
        for name, ms in times.items():
            low, middle, high = statistics.quantiles(ms, n=4)
            writer.writerow((name, f"{middle:.6g}", f"{(high - low) / middle:.4g}"))
    sys.stderr.write(f"{len(times)} probes measured: {arguments.out}\n")


def measure(runs: dict[str, Any], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of every timed pass of each probe."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    shuffle, begin, rounds = random.Random(0), time.perf_counter(), 0
    while rounds < FEWEST_ROUNDS or time.perf_counter() - begin < seconds:
        for name in shuffle.sample(list(runs), len(runs)):
            runs[name]()
            for _ in range(PASSES):
                start = time.perf_counter()
                runs[name]()
                times[name].append((time.perf_counter() - start) * 1e3)
        rounds += 1
    return times


def _session(path: Path, arguments: argparse.Namespace) -> Any:
    """A function that runs a probe once on random images."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, [arguments.provider])
    if arguments.provider not in session.get_providers():
        known = ", ".join(onnxruntime.get_available_providers())
        sys.exit(f"This onnxruntime has no '{arguments.provider}'. It has: {known}.")
    given = session.get_inputs()[0]
    images = np.random.default_rng(0).standard_normal(given.shape).astype(np.float32)
    return lambda: session.run(None, {given.name: images})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=0, help="0: the default of onnxruntime")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    parser.add_argument("--out", type=Path, default=HERE / "times.csv")
    return parser.parse_args()


if __name__ == "__main__":
    main()
