"""Measured against predicted latency on the GPU at hand, before and after `nas measure`.

    python scripts/networks_on_gpu.py --data cifar10:DIR
    python scripts/networks_on_gpu.py --device cpu --name h100 --networks 2 --seconds 1

1  measures random networks of a space and models of timm: eager, cuda-graph and (a few) compile,
   at batch 1 and 32
2  predicts them by the shipped model: as networks, and those of the space also from their codes
3  runs `nas measure` on the space in eager at batch 1, and predicts the same networks again

An error is |predicted / measured - 1|; `inside` is the share of networks whose measured latency is
within the 90 % interval.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import clocks
import numpy as np
import results_file
import torch
from scipy.stats import kendalltau
from torch import nn

from nas import timm_library as vision
from nas.commands.predict import predict
from nas.latency import Effort, Target, measure_networks
from nas.latency.gpu.predictor import GpuModel, GpuPredictor
from nas.latency.prediction import agreement
from nas.latency.predictors import predictor_for
from nas.latency.profiles.profile import Subject
from nas.latency.timing.gpu import Clock, GpuMachine
from nas.progress import Silent
from nas.settings import Settings
from nas.storage import read_json
from search_spaces import build_network, load_space
from search_spaces.data_shape import DataShape

MODELS = (
    "resnet50",
    "convnext_tiny",
    "swin_tiny_patch4_window7_224",
    "vit_small_patch16_224",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "poolformer_s12",
    "regnety_016",
)
Row = dict[str, Any]


def main() -> None:
    """Measure and predict; the results so far are written after each step."""
    arguments = _arguments()
    begin = time.monotonic()
    clock = clocks.of(arguments.device)
    device = arguments.name or clock.gpu.device  # type: ignore[attr-defined]
    space = load_space(arguments.space)
    codes = space.sample(arguments.networks, np.random.default_rng(arguments.seed))
    names = [f"{space.name}/{i}" for i in range(len(codes))]
    networks = [build_network(space.decode(code)).eval() for code in codes]
    sides = [space.decode(code).resolution for code in codes]
    for name in MODELS[: arguments.models]:
        networks.append(vision.create_model(name).eval())
        names.append(f"timm:{name}")
        sides.append(vision.input_shape(networks[-1])[1])
    document: Row = {"gpu": clock.facts(), "clocks": [clock.state()], "device": device}
    document |= {"codes": codes.tolist(), "seconds": {"ready": time.monotonic() - begin}}
    found: list[Row] = []

    for target in _targets(device, ("eager", "cuda-graph")):
        started = time.monotonic()
        rows = _predicted(names, networks, sides, target)
        predicted = time.monotonic()
        population = GpuPredictor(space, target).predict(codes).ms
        for row, ms in zip(rows, population, strict=False):
            row["population_ms"] = float(ms)
        traced = time.monotonic()
        _measure(rows, networks, target, clock, arguments.seconds)
        found += rows
        document["seconds"][str(target)] = {
            **{"predicting": predicted - started, "population": traced - predicted},
            "measuring": time.monotonic() - traced,
        }
        _write(found, document)
    clock.forget()
    if arguments.data:
        document["nas measure"] = _nas_measure(device, arguments)
        document["profile"] = _after(found, names, device, space, codes)
    _write(found, document)
    started = time.monotonic()
    chosen = [0, *range(len(codes), len(networks)), *range(1, len(codes))][: arguments.compiled]
    for i in chosen:  # one by one: each takes half a minute
        if time.monotonic() - started > arguments.compile_seconds:
            break
        for target in _targets(device, ("compile",)):
            rows = _predicted([names[i]], [networks[i]], [sides[i]], target)
            _measure(rows, [networks[i]], target, clock, arguments.seconds / 4)
            found += rows
            _write(found, document)
    document["seconds"]["compile"] = time.monotonic() - started
    document["clocks"].append(clock.state())
    document["seconds"]["all"] = time.monotonic() - begin
    _write(found, document)


def _targets(device: str, runtimes: tuple[str, ...]) -> Iterator[Target]:
    for runtime in runtimes:
        for batch in (1, 32):
            yield Target(device, runtime=runtime, batch_size=batch)


def _predicted(
    names: list[str], networks: list[nn.Module], sides: list[int], target: Target
) -> list[Row]:
    """A row for each network with the shipped model's predictions."""
    gpu, rows = GpuModel(target), []
    for name, network, side in zip(names, networks, sides, strict=True):
        network.to(device="cpu", dtype=torch.float32)  # measuring left it on the GPU
        told = gpu.network(network, (target.images, 3, side, side))
        one = told.prediction
        row: Row = {"network": name, "runtime": target.runtime, "batch_size": target.images}
        row |= {"predicted_ms": float(one.ms[0]), "low_ms": float(one.low_ms[0])}
        row |= {"high_ms": float(one.high_ms[0]), "device_ms": told.device_ms}
        rows.append(row | {"host_ms": told.host_ms})
    return rows


def _measure(
    rows: list[Row], networks: list[nn.Module], target: Target, clock: Clock, seconds: float
) -> None:
    """Add each network's measured time, or the error."""
    shapes = [(target.images, 3, side, side) for side in (_side(network) for network in networks)]
    effort = Effort(seconds, least=3, most=40, tight=0.003)
    try:
        measured = measure_networks(
            networks, shapes, target, effort=effort, machine=GpuMachine(target, clock)
        )
    except Exception as error:  # any error of the GPU; other targets may work
        for row in rows:
            row["error"] = f"{type(error).__name__}: {error}"[:300]
        return
    for row, ms, spread in zip(rows, measured.ms, measured.spread, strict=True):
        row |= {"ms": float(ms), "spread": float(spread), "rounds": measured.rounds}


def _side(network: nn.Module) -> int:
    architecture = getattr(network, "architecture", None)
    return architecture.resolution if architecture else vision.input_shape(network)[1]


def _nas_measure(device: str, arguments: argparse.Namespace) -> Row:
    """The command itself, as a person would call it."""
    command = [sys.executable, "-c", "from nas.cli import main; main()", "measure", "--json"]
    command += ["--hardware", device, "--space", arguments.space, "--data", arguments.data]
    command += ["--seconds", str(arguments.measure_seconds)]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout[-1500:], done.stderr[-3000:], flush=True)
    return {"status": done.returncode, "seconds": time.monotonic() - begin}


def _after(found: list[Row], names: list[str], device: str, space: Any, codes: Any) -> Row:
    """Add predictions for the same networks after measuring the space: eager, batch 1.

    Returns:
        The profile that was measured.
    """
    target = Target(device)
    population = predictor_for(space, target, DataShape(3, 10), progress=Silent())
    print(population, flush=True)
    told = population.predict(codes)
    settings = Settings(hardware=device)
    for row in found:
        if (row["runtime"], row["batch_size"]) != (target.runtime, 1):
            continue
        i = names.index(row["network"])
        if i < len(codes):
            values = (told.ms[i], told.low_ms[i], told.high_ms[i])
        else:
            document = predict(row["network"], settings, console=Silent()).document
            values = tuple(document[name] for name in ("latency_ms", "low_ms", "high_ms"))
        names_of = ("corrected_ms", "corrected_low_ms", "corrected_high_ms")
        row |= dict(zip(names_of, map(float, values), strict=True))
    path = Subject(space, target).path
    return read_json(path) if path.exists() else {}


def _write(rows: list[Row], document: Row) -> None:
    figures: dict[str, Any] = {}
    for kind in ("space", "timm"):
        of_kind = [r for r in rows if r["network"].startswith("timm:") == (kind == "timm")]
        for runtime, batch in dict.fromkeys((r["runtime"], r["batch_size"]) for r in of_kind):
            here = [r for r in of_kind if (r["runtime"], r["batch_size"]) == (runtime, batch)]
            for what, low, high in (
                ("predicted_ms", "low_ms", "high_ms"),
                ("population_ms", "", ""),
                ("corrected_ms", "corrected_low_ms", "corrected_high_ms"),
            ):
                known = [r for r in here if what in r and np.isfinite(r.get("ms", np.nan))]
                if known:
                    said = _agreement(known, what, low, high)
                    figures[f"{kind}, {runtime}, batch {batch}, {what[:-3]}"] = said
    failed = [r for r in rows if "error" in r]
    figures["failed"] = [f"{r['network']} {r['runtime']}: {r['error']}" for r in failed][:4]
    figures["seconds"] = document["seconds"].get("all")
    results_file.write("latency", "gpu-networks", figures, **document, networks=rows)


def _agreement(rows: list[Row], what: str, low: str, high: str) -> str:
    ms, predicted = (np.array([row[name] for row in rows]) for name in ("ms", what))
    said = f"{len(rows)} networks, measured {ms.min():.3f} to {ms.max():.3f} ms"
    said += f", predicted / measured {np.median(predicted / ms):.3f} (median)"
    if len(rows) > 1:
        found = agreement(predicted, ms)
        said += f", error {found['median']:.1%} median {found['mape']:.1%} mean"
        said += f", Kendall {kendalltau(predicted, ms).statistic:.3f}"
        # The error without a common factor: how well the ratios are predicted.
        ratio = predicted / ms
        ratio /= np.median(ratio)
        said += f", {np.median(np.abs(ratio - 1)):.1%} beside a common factor"
    if low:
        inside = [row[low] <= row["ms"] <= row[high] for row in rows]
        said += f", inside {np.mean(inside):.0%}"
    return said


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda or, to try it out, cpu")
    parser.add_argument("--name", help="the GPU to predict, if it is not the one at hand")
    parser.add_argument("--space", default="hybrid-cifar")
    parser.add_argument("--networks", type=int, default=12, help="random ones of the space")
    parser.add_argument("--models", type=int, default=len(MODELS), help="of timm")
    parser.add_argument("--compiled", type=int, default=3, help="networks that are compiled")
    parser.add_argument("--compile-seconds", type=float, default=60.0, help="none begins later")
    parser.add_argument("--seconds", type=float, default=5.0, help="of timed passes, per target")
    parser.add_argument("--data", help="for `nas measure`; without it that step is left out")
    parser.add_argument("--measure-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
