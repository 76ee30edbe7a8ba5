"""Profile the GPU at hand: operations of the spaces' shapes and whole networks, in a given time.

    python scripts/profile_gpu.py --out results/latency/profile-h100 --minutes 8

    kernels.jsonl     distinct operations of the parts of three spaces, at batch 1 and 32, each as
                      the `Launch` that the GPU model knows it as (`gpu/fit/kernels.py`)
    networks.jsonl    random networks of these spaces and timm models of as many families: eager,
                      cuda-graph and compile; fp16, bf16, fp32; batch 1 and 32
    conditions.jsonl  the GPU, versions, clocks before and after, a line for each run

Jobs are in random order, so that what is there at any moment is a fair sample. A run may be
stopped and begun again: what is in the files is not measured twice. What fails is kept with its
reason. `--device cpu` tries the program out where there is no GPU; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from nas import timm_library as vision
from nas.environment import environment
from nas.latency import Effort, Target, measure_networks
from nas.latency.devices import check
from nas.latency.gpu.fit.kernels import KernelClock, calls_in, launch_of
from nas.latency.gpu.fit.public import table
from nas.latency.timing.cuda import CudaClock, gpus
from nas.latency.timing.gpu import Clock, GpuMachine
from nas.latency.timing.machine import quiet
from nas.latency.tracing.calls import Call
from nas.latency.tracing.trace import Precision
from nas.storage import append_line, read_lines
from search_spaces import build_network, load_space

SPACES = ("hybrid-tiny", "hybrid-cifar", "hybrid-224")
PRECISIONS = ("fp16", "bf16", "fp32")
BATCHES = (1, 32)
LAYOUT = "channels_last"
LAUNCHED = ("eager", "cuda-graph")
PARTS, OF_SPACE, FAMILIES = 100, 20, 70
"""Parts of each space whose operations are timed, networks of each space, models of timm."""
SHARES = {"kernels": 0.25, "launched": 0.45, "compiled": 0.3}
"""Of the time; what one does not need goes to the next."""
POOL, SMALL_POOL = 512 * 2**20, 2**24
"""Bytes that operands are taken from."""
EFFORT = Effort(0.3, least=3, most=30, tight=0.003)
Row = dict[str, Any]
Job = Callable[[], list[Row]]


def main() -> None:
    """Measure until the time is over."""
    arguments = _arguments()
    begin, seconds = time.monotonic(), 60 * arguments.minutes
    clock = _clock(arguments.device)
    title = clock.facts()["model"]
    device = arguments.name or getattr(getattr(clock, "gpu", None), "device", None)
    if device is None:
        raise SystemExit(f"No device file describes '{title}': `nas hardware add` one, or --name.")
    print(f"{title} as {device}", flush=True)
    before, until, done = clock.state(), begin, {}
    for kind, jobs in (
        ("kernels", _kernel_jobs(clock, device, arguments)),
        ("launched", _network_jobs(clock, device, LAUNCHED, arguments)),
        ("compiled", _network_jobs(clock, device, ("compile",), arguments)),
    ):
        until += SHARES[kind] * seconds
        file = "kernels.jsonl" if kind == "kernels" else "networks.jsonl"
        # Networks are built outside: what is made in inference mode cannot be moved.
        alone = kind == "kernels"
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
    """Do jobs that are not in the file until the time is over; how many rows there are then."""
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


def _kernel_jobs(
    clock: Clock, device: str, arguments: argparse.Namespace
) -> Iterator[tuple[Row, Job]]:
    rng = np.random.default_rng(arguments.seed)
    calls: list[Call] = []
    for name in SPACES:
        parts = [part for part in load_space(name).part_index(3, 10).parts if part is not None]
        chosen = [parts[i] for i in rng.permutation(len(parts))[:PARTS]]
        calls += [call for batch in BATCHES for call in calls_in(chosen, batch)]
    distinct = list({call.key: call for call in calls}.values())
    pool = SMALL_POOL if clock.device.type == "cpu" else POOL
    precisions = _precisions(device)
    clocks = {precision: KernelClock(clock, precision, pool) for precision in precisions}
    jobs = [(call, precision) for call in distinct for precision in precisions]
    for i in rng.permutation(len(jobs))[: arguments.kernels]:
        call, precision = jobs[i]
        job = {"device": device, "precision": precision, "call": call.key}
        yield job, partial(_kernel, call, precision, clocks[precision])


def _kernel(call: Call, precision: str, kernels: KernelClock) -> list[Row]:
    launch = launch_of(call, cast(Precision, precision))
    if launch is None:
        return [{"error": "several kernels"}]
    ms, spread = kernels.ms(call)
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
    """One network in all these runtimes."""
    network, (channels, height, width) = _network(name)
    rows = []
    for runtime in runtimes:
        here = dataclasses.replace(target, runtime=runtime)
        row: Row = {"runtime": runtime, "resolution": height}
        try:
            found = measure_networks(
                [network],
                [(target.images, channels, height, width)],
                here,
                effort=EFFORT,
                machine=GpuMachine(here, clock),
            )
        except Exception as error:  # the other runtimes may do better
            row |= _failed(error)
        else:
            row |= {"ms": float(found.ms[0]), "spread": float(found.spread[0])}
            row["rounds"] = found.rounds
        rows.append(row)
    return rows


def _names(rng: np.random.Generator) -> list[str]:
    """Networks to measure: SPACE/gene.gene... and models of timm, one of a family at most."""
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


def _clock(device: str) -> Clock:
    if device == "cpu":
        return _ProcessorClock()
    found = gpus()
    if not found:
        raise SystemExit(
            f"torch {torch.__version__} finds no CUDA GPU; --device cpu tries it out."
        )
    return CudaClock(found[int(device.partition(":")[2] or 0)])


class _ProcessorClock:
    """The processor in a GPU's place."""

    device = torch.device("cpu")

    def ready(self, tf32: bool) -> AbstractContextManager[None]:
        return nullcontext()

    def ms(self, run: Callable[[], object]) -> float:
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        run()
        return run

    def forget(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"model": "this processor, which is no GPU"}

    def state(self) -> dict[str, Any]:
        return {}

    def others(self) -> int:
        return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--minutes", type=float, default=8.0, help="in all")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or, to try it out, cpu")
    parser.add_argument("--name", help="the device, where no file has its driver's name for it")
    parser.add_argument("--kernels", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
