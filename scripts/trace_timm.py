"""The number of timm's networks that can be predicted, at their own size and without weights.

    python scripts/trace_timm.py

Draws models of `timm.list_models()` at random and predicts each for an A100 at batch 1. A model
counts as traced when the prediction is a positive time. The others are listed with a reason. The
functions that the tracer does not know are listed with the number of models that run them. Writes
`results/latency/traced-timm.json`.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import results_file

from nas.latency import Target
from nas.latency.gpu.predictor import GpuModel
from nas.timm_library import input_shape, list_models, shapes_only


def main() -> None:
    """Predict them one after the other, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    known = sorted(list_models())
    count = min(arguments.models, len(known))
    drawn = np.random.default_rng(arguments.seed).choice(known, count, replace=False).tolist()

    gpu = GpuModel(Target("a100"))
    exceptions: dict[str, str] = {}
    seconds: dict[str, float] = {}
    unknown = Counter[str]()
    for i, name in enumerate(drawn):
        begin = time.perf_counter()
        reason = _problem(gpu, name, unknown)
        seconds[name] = time.perf_counter() - begin
        if reason is not None:
            exceptions[name] = reason
            print(f"{name}: {reason}", flush=True)
        if i % 50 == 49:
            print(f"{i + 1} of {count}", flush=True)
    slowest = max(seconds, key=lambda name: seconds[name])
    figures = {
        "models": count,
        "of": len(known),
        "traced": count - len(exceptions),
        "share_traced": 1 - len(exceptions) / count,
        "exceptions": exceptions,
        "unknown_functions": dict(unknown),
        "median_seconds": round(float(np.median(list(seconds.values()))), 2),
        "slowest": {slowest: round(seconds[slowest], 1)},
    }
    results_file.write("latency", "traced-timm", figures, names=sorted(drawn))


def _problem(gpu: GpuModel, name: str, unknown: Counter[str]) -> str | None:
    """Why a model is not predicted, or None; counts its unknown functions."""
    try:
        module = shapes_only(name)
        found = gpu.network(module, (1, *input_shape(module)))
    except Exception as error:  # a survey of whatever goes wrong
        return f"{type(error).__name__}: {error}"
    unknown.update(found.unknown)
    ms = float(found.prediction.ms[0])
    return None if 0 < ms < float("inf") else f"predicted {ms} ms"


if __name__ == "__main__":
    main()
