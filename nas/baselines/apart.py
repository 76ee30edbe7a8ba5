"""Measures networks from their files in a process of its own, as a deployed network runs.

A process that has trained measures networks 10 % too slow (`nas/latency/timing/clean.py`). The new
process reads a JSON document from stdin and writes one to stdout:

    {"models": [...], "target": {...}, "effort": {...}}  ->  {"ms": [...]} or {"error": [...]}
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from nas.baselines.model import Model
from nas.errors import NasError, NotFittedError, error_of
from nas.latency import Effort, Target, measure_networks
from nas.latency.timing.load import environment_now
from nas.latency.timing.machine import Machine
from nas.latency.timing.machines import machine_of
from nas.latency.timing.steady import steadiest
from nas.progress import Progress, Silent

Latencies = tuple[float | None, ...]
"""Milliseconds per batch, one per network; None for one that does not fit into the memory."""


def measure_here(
    models: Sequence[Model],
    target: Target,
    effort: Effort,
    machine: Machine,
    progress: Progress,
) -> Latencies:
    """Measure networks in this process; they take turns, again while the machine is unsteady.

    Raises:
        NotFittedError, ExportError: as `measure_networks`.
    """
    networks = [model.load() for model in models]
    shapes = [model.images(target.images) for model in models]
    found = steadiest(
        lambda: measure_networks(
            networks, shapes, target, effort=effort, progress=progress, machine=machine
        ),
        progress,
    )
    pairs = zip(found.ms, found.fits, strict=True)
    return tuple(float(ms) if fits else None for ms, fits in pairs)


def measure_apart(models: Sequence[Model], target: Target, effort: Effort) -> Latencies:
    """The same in a new process.

    Raises:
        NotFittedError, ExportError: as `measure_networks`; also if the process was killed.
    """
    order = {
        "models": [model.to_dict() for model in models],
        "target": target.to_dict(),
        "effort": asdict(effort),
    }
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "nas.baselines.apart"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        env=environment_now(target.thread_count if target.device == "cpu" else 1),
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotFittedError(
            f"The process that measures ended with status {ended.returncode}: {last}. Close other "
            "programs and continue."
        )
    found = json.loads(ended.stdout)
    if "error" in found:
        raise error_of(*found["error"])
    return tuple(found["ms"])


def main() -> None:
    """Do one order."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    order = json.load(sys.stdin)
    target = Target.from_dict(order["target"])
    try:
        ms = measure_here(
            [Model.from_dict(each) for each in order["models"]],
            target,
            Effort(**order["effort"]),
            machine_of(target),
            Silent(),
        )
        answer: dict[str, object] = {"ms": ms}
    except NasError as error:
        answer = {"error": [type(error).__name__, str(error)]}
    with answers:
        json.dump(answer, answers)


if __name__ == "__main__":
    main()
