"""Predicted against measured latency on this machine, for networks outside the fit.

    python scripts/latency_accuracy.py --space hybrid-cifar --networks 40
    python scripts/latency_accuracy.py --timm 30

Measures the profile if none is cached (with `--fresh` always), then random networks in turns, and
writes `results/latency/<conditions>.json` and `.md`. Networks of a space are predicted from
its parts, models of timm from their operations.
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
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.environment import environment
from nas.latency import (
    Effort,
    Measurement,
    Target,
    measure_finalists,
    measure_networks,
    measured_predictor,
    trace,
)
from nas.latency.operations.predictor import NETWORKS, OperationsPredictor, reference_networks
from nas.latency.prediction import Prediction, agreement
from nas.storage import atomic_write
from search_spaces.space import load_space

RESULTS = Path(__file__).resolve().parents[1] / "results" / "latency"
ANCHORS = 10
"""Networks of the profile that are measured again, to see whether the machine's speed changed."""
MOST_GMACS = 3.0
LARGEST_SIDE = 260
"""Limits on timm's models: measuring larger ones takes many seconds each."""

Network = tuple[nn.Module, tuple[int, ...]]


@dataclass(frozen=True)
class Comparison:
    """Predictions, measurements, and what the predictions rest on."""

    name: str
    prediction: Prediction
    measured: Measurement
    drift: float
    """Time of networks of the fit now over their time at the fit."""
    interval_factor: float
    figures: dict[str, float]
    networks: list[dict[str, Any]]
    profile: dict[str, Any]


def main() -> None:
    """Measure, compare, write."""
    arguments = _arguments()
    if arguments.fresh:
        os.environ["NAS_CACHE_DIR"] = tempfile.mkdtemp()
    target = Target(
        "cpu",
        runtime=arguments.runtime,
        threads=arguments.threads,
        batch_size=arguments.batch_size,
    )
    print(target)
    found = _timm(arguments, target) if arguments.timm else _space(arguments, target)
    prediction, measured, ms = found.prediction, found.measured, found.measured.ms
    inside = (ms >= prediction.low_ms) & (ms <= prediction.high_ms)
    at_equal_speed = agreement(prediction.ms * found.drift, ms)
    figures = {
        **agreement(prediction.ms, ms),
        "interval_coverage": float(inside.mean()),
        "interval_factor": found.interval_factor,
        "machine_slower_than_when_fitted": found.drift,
        **{f"{name}_at_equal_speed": value for name, value in at_equal_speed.items()},
        "median_ratio": float(np.median(ms / prediction.ms)),
        "repeat_noise_median": measured.repeat_noise,
        "drift_while_measuring": measured.drift,
        "spread_median": float(np.median(measured.spread)),
        "disturbed_passes": measured.disturbed,
        "rounds": measured.rounds,
        **found.figures,
    }
    rows = zip(
        found.networks, prediction.ms, prediction.low_ms, prediction.high_ms, ms, strict=True
    )
    document = {
        "command": shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "note": arguments.note,
        "seed": arguments.seed,
        "target": str(target),
        "figures": figures,
        "environment": environment(),
        "profile": found.profile,
        "networks": [
            {**network, "predicted_ms": p, "low_ms": low, "high_ms": high, "measured_ms": m}
            for network, p, low, high, m in rows
        ],
    }
    runtime = "" if target.runtime == "eager" else f"-{target.runtime}"
    threads = f"{target.threads}threads"
    _write(f"{found.name}-cpu{runtime}-batch{target.batch_size}-{threads}", document)


def _space(arguments: argparse.Namespace, target: Target) -> Comparison:
    """Networks of a space, predicted from its parts."""
    space = load_space(arguments.space)
    begin = time.perf_counter()
    predictor = measured_predictor(space, target)
    seconds = time.perf_counter() - begin
    profile = predictor.profile
    print(f"{space.name}: profile in {seconds:.0f} s; {predictor}")
    rng = np.random.default_rng(arguments.seed)
    fitted_on = {tuple(network["code"]) for network in profile.networks}
    drawn = [c for c in space.sample(2 * arguments.networks, rng) if tuple(c) not in fitted_on]
    codes = np.array(drawn[: arguments.networks])
    prediction = predictor.predict(codes)
    # Some of the profile's own networks are measured again together with the tested ones: if they
    # take longer than before, the machine has become slower and the predictor is not wrong.
    anchors = profile.networks[:: max(1, len(profile.networks) // ANCHORS)]
    both = measure_finalists(
        [space.decode(c) for c in [*codes, *(np.array(a["code"]) for a in anchors)]],
        target,
        effort=_effort(arguments),
        seed=arguments.seed,
    )
    measured, drift = _split(both, np.array([a["ms"] for a in anchors]))
    timed = sum(n > 0 for n in profile.parts_timed)
    return Comparison(
        name=space.name,
        prediction=prediction,
        measured=measured,
        drift=drift,
        interval_factor=math.exp(profile.log_half_width),
        figures={"fit_seconds": round(seconds, 1), "parts_timed": timed},
        networks=[{"code": code.tolist()} for code in codes],
        profile={
            "conditions": profile.conditions,
            "terms": vars(profile.terms),
            "held_out": profile.held_out,
        },
    )


def _timm(arguments: argparse.Namespace, target: Target) -> Comparison:
    """Models of timm, at most one of each family, predicted from their operations."""
    begin = time.perf_counter()
    predictor = OperationsPredictor.of(target)
    seconds = time.perf_counter() - begin
    print(f"timm: fitted in {seconds:.0f} s; {predictor}")
    chosen = _moderate_models(arguments.timm, np.random.default_rng(arguments.seed), target)
    known, taken = len(predictor.store.ms), []
    predictions = []
    for module, shape in chosen.values():
        begin = time.perf_counter()
        predictions.append(predictor.predict([module], [shape]))
        taken.append(time.perf_counter() - begin)
    prediction = Prediction(
        *(
            np.concatenate([getattr(one, field.name) for one in predictions])
            for field in dataclasses.fields(Prediction)
        )
    )
    from nas import timm_library as vision

    networks = [vision.create_model(name).eval() for name in chosen]
    for network in networks:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    anchors = reference_networks(target)
    both = measure_networks(
        [*networks, *(module for module, _ in anchors)],
        [*(shape for _, shape in chosen.values()), *(shape for _, shape in anchors)],
        target,
        effort=_effort(arguments),
        seed=arguments.seed,
    )
    fitted = predictor.store.fitted
    measured, drift = _split(both, np.array(fitted["networks_ms"]))
    return Comparison(
        name="timm",
        prediction=prediction,
        measured=measured,
        drift=drift,
        interval_factor=math.exp(fitted["log_half_width"]),
        figures={
            "fit_seconds": round(seconds, 1),
            "seconds_to_predict_median": float(np.median(taken)),
            "seconds_to_predict_longest": max(taken),
            "operations_timed_to_fit": known,
            "operations_timed_to_predict": len(predictor.store.ms) - known,
        },
        networks=[{"name": name} for name in chosen],
        profile={"conditions": {**predictor.store.conditions, **fitted}},
    )


def _moderate_models(n: int, rng: np.random.Generator, target: Target) -> dict[str, Network]:
    """Random models outside the fit, without weights in memory, by name."""
    from nas import timm_library as vision

    chosen: dict[str, Network] = {}
    families: set[str] = set()
    for name in rng.permutation(vision.list_models()):
        family = vision.family_of(str(name))
        if len(chosen) == n or name in NETWORKS or family in families:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of names that it will drop
            module = vision.shapes_only(str(name))
        channels, height, width = vision.input_shape(module)
        if max(height, width) > LARGEST_SIDE:
            continue
        flops = sum(operation.flops for operation in trace(module, (1, channels, height, width)))
        if flops / 2e9 > MOST_GMACS:
            continue
        families.add(family)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        chosen[str(name)] = (module, (target.images, channels, height, width))
    return chosen


def _split(both: Measurement, anchors_ms: NDArray[np.float64]) -> tuple[Measurement, float]:
    """The tested networks' measurement, and the slowdown of the anchors that come after them."""
    n = len(both.ms) - len(anchors_ms)
    own = dataclasses.replace(
        both, ms=both.ms[:n], spread=both.spread[:n], quarters_ms=both.quarters_ms[:n]
    )
    return own, float(np.median(both.ms[n:] / anchors_ms))


def _effort(arguments: argparse.Namespace) -> Effort:
    return Effort(arguments.seconds, least=6, most=60)


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
            *_models(document["networks"]),
            "",
        ]
    )
    print(text)
    atomic_write(RESULTS / f"{name}.json", json.dumps(document, indent=1) + "\n")
    atomic_write(RESULTS / f"{name}.md", text)


def _models(networks: Sequence[dict[str, Any]]) -> list[str]:
    """A table of the networks if they have names."""
    if "name" not in networks[0]:
        return []
    rows = [
        f"| {one['name']} | {one['predicted_ms']:.2f} | {one['measured_ms']:.2f} "
        f"| {one['predicted_ms'] / one['measured_ms'] - 1:+.1%} |"
        for one in networks
    ]
    return ["", "| model | predicted, ms | measured, ms | error |", "|---|---|---|---|", *rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--networks", type=int, default=40, help="networks of the space")
    parser.add_argument("--timm", type=int, metavar="N", help="test models of timm instead")
    parser.add_argument("--runtime", default="eager", help="eager, onnxruntime or compile")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="for measuring the networks")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--fresh", action="store_true", help="ignore the cached profile")
    parser.add_argument("--note", default="", help="a remark that is kept in the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
