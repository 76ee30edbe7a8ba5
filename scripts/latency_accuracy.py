"""Predicted against measured latency on this machine: networks that the fit has not seen.

    python scripts/latency_accuracy.py --space hybrid-cifar --networks 40

Measures the profile if none is cached (`--fresh` measures it in any case), then random networks,
interleaved, and writes `results/latency/<conditions>.json` and `.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from nas.environment import environment
from nas.latency import Effort, Target, measure_finalists, predictor_for
from nas.latency.cpu import agreement
from nas.storage import atomic_write
from search_spaces.space import load_space

RESULTS = Path(__file__).resolve().parents[1] / "results" / "latency"
ANCHORS = 10


def main() -> None:
    """Measure, compare, write."""
    arguments = _arguments()
    if arguments.fresh:
        os.environ["NAS_CACHE_DIR"] = tempfile.mkdtemp()
    space = load_space(arguments.space)
    target = Target("cpu", threads=arguments.threads, batch_size=arguments.batch_size)
    print(f"{space.name} on {target}")
    begin = time.perf_counter()
    predictor = predictor_for(space, target)
    fit_seconds = time.perf_counter() - begin
    print(f"profile in {fit_seconds:.0f} s; {predictor}")

    rng = np.random.default_rng(arguments.seed)
    fitted_on = {tuple(network["code"]) for network in predictor.profile.networks}
    drawn = [c for c in space.sample(2 * arguments.networks, rng) if tuple(c) not in fitted_on]
    codes = np.array(drawn[: arguments.networks])
    # Some of the profile's own networks are measured again beside them: what these now take
    # longer than then is the machine's drift, not the predictor's error.
    anchors = predictor.profile.networks[:: max(1, len(predictor.profile.networks) // ANCHORS)]
    both = measure_finalists(
        [space.decode(c) for c in [*codes, *(np.array(a["code"]) for a in anchors)]],
        target,
        effort=Effort(arguments.seconds, least=6, most=60),
        seed=arguments.seed,
    )
    n = len(codes)
    measured = dataclasses.replace(
        both, ms=both.ms[:n], spread=both.spread[:n], quarters_ms=both.quarters_ms[:n]
    )
    drift = float(np.median(both.ms[n:] / np.array([a["ms"] for a in anchors])))
    prediction = predictor.predict(codes)
    inside = (measured.ms >= prediction.low_ms) & (measured.ms <= prediction.high_ms)
    figures = {
        **agreement(prediction.ms, measured.ms),
        "interval_coverage": float(inside.mean()),
        "interval_factor": math.exp(predictor.profile.log_half_width),
        "machine_slower_than_when_fitted": drift,
        **{
            f"{k}_at_equal_speed": v
            for k, v in agreement(prediction.ms * drift, measured.ms).items()
        },
        "median_ratio": float(np.median(measured.ms / prediction.ms)),
        "repeat_noise_median": measured.repeat_noise,
        "drift_while_measuring": measured.drift,
        "spread_median": float(np.median(measured.spread)),
        "disturbed_passes": measured.disturbed,
        "rounds": measured.rounds,
        "fit_seconds": round(fit_seconds, 1),
        "parts_timed": sum(n > 0 for n in predictor.profile.parts_timed),
    }
    document = {
        "command": shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "note": arguments.note,
        "seed": arguments.seed,
        "target": str(target),
        "figures": figures,
        "environment": environment(),
        "profile": {
            "conditions": predictor.profile.conditions,
            "terms": vars(predictor.profile.terms),
            "held_out": predictor.profile.held_out,
        },
        "networks": [
            {"code": c.tolist(), "predicted_ms": p, "low_ms": lo, "high_ms": hi, "measured_ms": m}
            for c, p, lo, hi, m in zip(
                codes,
                prediction.ms,
                prediction.low_ms,
                prediction.high_ms,
                measured.ms,
                strict=True,
            )
        ],
    }
    _write(f"{space.name}-cpu-batch{target.batch_size}-{target.threads}threads", document)


def _write(name: str, document: dict[str, Any]) -> None:
    rows = [
        f"| {key.replace('_', ' ')} | {value:.4g} |" for key, value in document["figures"].items()
    ]
    env = document["environment"]
    text = "\n".join(
        [
            f"# Predicted against measured latency: {name}",
            "",
            f"`{document['command']}` on {document['target']};",
            f"{env['cpu']}, torch {env['packages']['torch']}, "
            f"{document['profile']['conditions']['date']}. {document['note']}",
            "",
            "| figure | value |",
            "|---|---|",
            *rows,
            "",
        ]
    )
    print(text)
    atomic_write(RESULTS / f"{name}.json", json.dumps(document, indent=1) + "\n")
    atomic_write(RESULTS / f"{name}.md", text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="of measuring the networks")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--fresh", action="store_true", help="ignore the cached profile")
    parser.add_argument("--note", default="", help="what else was going on, kept in the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
