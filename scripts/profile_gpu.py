"""Measure the GPU at hand in a given time: operations of three spaces, and networks.

    python scripts/profile_gpu.py --out results/latency/profile-h100 --minutes 8

    launches.jsonl    distinct operations of the spaces' parts at batch 1 and 32, each described as
                      a `Launch` of the GPU model
    networks.jsonl    random networks of these spaces, timm models of different families: eager,
                      cuda-graph and compile; fp16, bf16 and fp32; batch 1 and 32
    conditions.jsonl  one line per run: the GPU, versions, clocks before and after

Jobs run in random order, so that the files are a random sample at any moment. A run can be stopped
and started again: it does not repeat jobs whose results are in the files. Failures are kept with
their reason. `--device cpu` tries the program out without a GPU; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import clocks
import numpy as np
import torch
from torch import nn

from nas import timm_library as vision
from nas.environment import environment
from nas.latency import Effort, Target, measure_networks
from nas.latency.devices import check
from nas.latency.gpu.fit.kernels import LaunchClock, calls_in, launch_of
from nas.latency.gpu.fit.public import table
from nas.latency.timing.gpu import Clock, GpuMachine
from nas.latency.timing.machine import quiet
from nas.latency.tracing.calls import Call
from nas.latency.tracing.operations import Precision
from nas.storage import append_line, read_lines
from search_spaces import build_network, load_space
from search_spaces.data_shape import DataShape

SPACES = ("hybrid-tiny", "hybrid-cifar", "hybrid-224")
PRECISIONS = ("fp16", "bf16", "fp32")
BATCHES = (1, 32)
LAYOUT = "channels_last"
LAUNCHED = ("eager", "cuda-graph")
PARTS, OF_SPACE, FAMILIES = 100, 20, 70
"""Parts of each space whose operations are timed, networks of each space, models of timm."""
SHARES = {"launches": 0.25, "launched": 0.45, "compiled": 0.3}
"""Shares of the time; a step that needs less leaves the rest to the next one."""
POOL, SMALL_POOL = 512 * 2**20, 2**24
"""Size in bytes of the memory that operands are taken from."""
EFFORT = Effort(0.3, least=3, most=30, tight=0.003)
Row = dict[str, Any]
Job = Callable[[], list[Row]]


def main() -> None:
    """Measure until the time is up."""
    arguments = _arguments()
    begin, seconds = time.monotonic(), 60 * arguments.minutes
    clock = clocks.of(arguments.device)
    title = clock.facts()["model"]
    device = arguments.name or getattr(getattr(clock, "gpu", None), "device", None)
    if device is None:
        raise SystemExit(f"No device file describes '{title}': `nas hardware add` one, or --name.")
    print(f"{title} as {device}", flush=True)
    before, until, done = clock.state(), begin, {}
    for kind, jobs in (
        ("launches", _launch_jobs(clock, device, arguments)),
        ("launched", _network_jobs(clock, device, LAUNCHED, arguments)),
        ("compiled", _network_jobs(clock, device, ("compile",), arguments)),
    ):
        until += SHARES[kind] * seconds
        file = "launches.jsonl" if kind == "launches" else "networks.jsonl"
        # Networks are built outside `quiet`: tensors made in inference mode cannot be moved.
        alone = kind == "launches"
        with quiet(torch.get_num_threads()) if alone else nullcontext(), clock.ready(tf32=False):
            done[kind] = _work(jobs, arguments.out / file, until)
        print(f"{kind}: {done[kind]} rows, {time.monotonic() - begin:.0f} s", flush=True)
    document = {
        **{"device": device, "facts": clock.facts(), "rows": done, "seed": arguments.seed},
        **{"clocks": {"before": before, "after": clock.state()}, "environment": environment()},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    append_line(arguments.out / "conditions.jsonl", document)


def _work(jobs: Iterator[tuple[Row, Job]], path: Path, until: float) -> int:
    """Do jobs that are not in the file until the time is up; returns the number of rows."""
    known = {_key(row, list(row["job"])) for row in read_lines(path)}
    for job, measure in jobs:
        if time.monotonic() > until:
            break
        if _key({"job": job}, list(job)) in known:
            continue
        try:
            rows = measure()
        except Exception as error:  # whatever the network, the compiler or the GPU raises
            rows = [_failed(error)]
        for row in rows:
            append_line(path, {"job": job, **row})
    return len(read_lines(path))


def _failed(error: Exception) -> Row:
    return {"error": f"{type(error).__name__}: {error}"[:300]}


def _key(row: Row, names: list[str]) -> tuple[Any, ...]:
    return tuple(row["job"][name] for name in sorted(names))


def _precisions(device: str) -> list[str]:
    return [precision for precision in PRECISIONS if precision in check(device).precisions]


def _launch_jobs(
    clock: Clock, device: str, arguments: argparse.Namespace
) -> Iterator[tuple[Row, Job]]:
    rng = np.random.default_rng(arguments.seed)
    calls: list[Call] = []
    for name in SPACES:
        parts = [
            part
            for part in load_space(name).part_index(DataShape(3, 10)).parts
            if part is not None
        ]
        chosen = [parts[i] for i in rng.permutation(len(parts))[: arguments.parts]]
        calls += [call for batch in BATCHES for call in calls_in(chosen, batch)]
    distinct = list({call.key: call for call in calls}.values())
    pool = SMALL_POOL if clock.device.type == "cpu" else POOL
    precisions = _precisions(device)
    clocks = {precision: LaunchClock(clock, precision, pool) for precision in precisions}
    jobs = [(call, precision) for call in distinct for precision in precisions]
    for i in rng.permutation(len(jobs))[: arguments.launches]:
        call, precision = jobs[i]
        job = {"device": device, "precision": precision, "call": call.key}
        yield job, partial(_launch, call, precision, clocks[precision])


def _launch(call: Call, precision: str, clock: LaunchClock) -> list[Row]:
    launch = launch_of(call, cast(Precision, precision))
    if launch is None:
        return [{"error": "several launches"}]
    ms, spread = clock.ms(call)
    return [{**launch._asdict(), "ms": ms, "spread": spread}]


def _network_jobs(
    clock: Clock, device: str, runtimes: tuple[str, ...], arguments: argparse.Namespace
) -> Iterator[tuple[Row, Job]]:
    rng = np.random.default_rng(arguments.seed)
    jobs = [(n, p, b) for n in _names(rng) for p in _precisions(device) for b in BATCHES]
    for i in rng.permutation(len(jobs)):
        name, precision, batch = jobs[i]
        job = {"device": device, "network": name, "precision": precision, "batch_size": batch}
        job |= {"layout": LAYOUT, "runtimes": ",".join(runtimes)}
        target = Target(device, precision=precision, layout=LAYOUT, batch_size=batch)
        yield job, partial(_rows, name, target, runtimes, clock)


def _rows(name: str, target: Target, runtimes: tuple[str, ...], clock: Clock) -> list[Row]:
    return measured(*_network(name), target, runtimes, clock)


def measured(
    network: nn.Module,
    shape: tuple[int, int, int],
    target: Target,
    runtimes: tuple[str, ...],
    clock: Clock,
    effort: Effort = EFFORT,
) -> list[Row]:
    """One network in several runtimes; a row for each."""
    channels, height, width = shape
    rows = []
    for runtime in runtimes:
        here = dataclasses.replace(target, runtime=runtime)
        row: Row = {"runtime": runtime, "resolution": height}
        try:
            found = measure_networks(
                [network],
                [(target.images, channels, height, width)],
                here,
                effort=effort,
                machine=GpuMachine(here, clock),
            )
        except Exception as error:  # the other runtimes may work
            row |= _failed(error)
        else:
            row |= {"ms": float(found.ms[0]), "spread": float(found.spread[0])}
            row["rounds"] = found.rounds
        rows.append(row)
    return rows


def _names(rng: np.random.Generator) -> list[str]:
    """Networks to measure: SPACE/gene.gene... and models of timm, at most one of each family."""
    names = [
        f"{name}/{'.'.join(map(str, code))}"
        for name in SPACES
        for code in load_space(name).sample(OF_SPACE, rng)
    ]
    published = sorted({row["network"] for row in table() if int(row["resolution"]) <= 256})
    families: dict[str, str] = {}
    for i in rng.permutation(len(published)):
        families.setdefault(vision.family_of(published[i]), published[i])
    return [*names, *list(families.values())[:FAMILIES]]


def _network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    space, separator, genes = name.partition("/")
    if separator:
        architecture = load_space(space).decode(np.array([int(gene) for gene in genes.split(".")]))
        side = architecture.resolution
        return build_network(architecture).eval(), (3, side, side)
    network = vision.create_model(name).eval()
    return network, vision.input_shape(network)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--minutes", type=float, default=8.0, help="in all")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or, to try it out, cpu")
    parser.add_argument("--name", help="the device, where no file has its driver's name for it")
    parser.add_argument("--parts", type=int, default=PARTS, help="traced parts of each space")
    parser.add_argument("--launches", type=int, default=3000, help="to time at most")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
