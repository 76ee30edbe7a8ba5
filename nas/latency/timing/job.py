"""A job of measuring, as plain data: which architectures, under which conditions, how long.

    job = Job.of(architectures, target, data_shape)
    timed = run_here(job, machine, progress)          or  clean.run_apart(job, progress)

Plain data, so that another process can do it: see `clean.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.errors import NotFittedError
from nas.latency.target import Target
from nas.latency.timing.interleave import interleave
from nas.latency.timing.machine import Effort, Machine, Pass
from nas.latency.timing.processor import chain_pass
from nas.latency.timing.samples import Measurement, Samples, summary, with_gaps
from nas.progress import Progress
from search_spaces.architecture import Architecture
from search_spaces.data_shape import DataShape
from search_spaces.deployment import deployed
from search_spaces.network import build_network
from search_spaces.parts import Part, parts_of


@dataclass(frozen=True)
class Job:
    """Architectures to measure with new weights, and how."""

    architectures: tuple[Architecture, ...]
    target: Target
    data_shape: DataShape
    effort: Effort
    seed: int = 0
    by_part: int = 0
    """How many of them, from the first on, are timed part by part (on a processor)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "architectures": [each.to_dict() for each in self.architectures],
            "target": self.target.to_dict(),
            "data_shape": dataclasses.asdict(self.data_shape),
            "effort": dataclasses.asdict(self.effort),
            "seed": self.seed,
            "by_part": self.by_part,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Job:
        """What `to_dict` gave."""
        return cls(
            architectures=tuple(map(Architecture.from_dict, data["architectures"])),
            target=Target.from_dict(data["target"]),
            data_shape=DataShape(**data["data_shape"]),
            effort=Effort(**data["effort"]),
            seed=data["seed"],
            by_part=data["by_part"],
        )


@dataclass(frozen=True)
class Timed:
    """What a job gave."""

    samples: tuple[Samples | None, ...]
    """Of each architecture; None for one that did not fit into the memory."""
    facts: dict[str, Any]
    """What the device is."""
    clocks: dict[str, Any]
    """Its clocks, temperature and the like, before and after."""

    @property
    def measurement(self) -> Measurement:
        """The networks as a whole; some of them fitted into the memory."""
        held = [each for each in self.samples if each is not None]
        return with_gaps(summary(held), np.array([each is not None for each in self.samples]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        samples = [None if each is None else each.to_dict() for each in self.samples]
        return {"samples": samples, "facts": self.facts, "clocks": self.clocks}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Timed:
        """What `to_dict` gave."""
        found = (None if each is None else Samples.from_dict(each) for each in data["samples"])
        return cls(tuple(found), data["facts"], data["clocks"])


def run_here(job: Job, machine: Machine, progress: Progress) -> Timed:
    """Measure in this process.

    Raises:
        MissingExtraError: the runtime, or the compiler that it needs, is not installed.
        ExportError: the runtime cannot run one of the networks.
        NotFittedError: the device's memory cannot hold the networks.
    """
    parts = [list(parts_of(each, job.data_shape).values()) for each in job.architectures]
    batch = job.target.images
    shapes = [
        (batch, job.data_shape.channels, side, side)
        for side in (job.target.resolution or each.resolution for each in job.architectures)
    ]
    n = job.by_part
    networks = [
        build_network(deployed(each), job.data_shape).eval() for each in job.architectures[n:]
    ]
    before = machine.state()
    passes: list[Pass | None] = [*map(chain_pass, _chains(parts[:n]))]
    with machine.ready():
        rng = np.random.default_rng(job.seed)
        passes += machine.passes(networks, shapes[n:], rng, progress)
    samples = timed(passes, shapes, job.target, machine, job.effort, job.seed, progress)
    return Timed(samples, machine.facts(), {"before": before, "after": machine.state()})


def timed(
    passes: Sequence[Pass | None],
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    machine: Machine,
    effort: Effort,
    seed: int,
    progress: Progress,
) -> tuple[Samples | None, ...]:
    """Let the networks that the memory holds take turns; None for the others.

    Raises:
        NotFittedError: the memory holds none of them, or not all that fitted alone.
    """
    held = [(run, shape) for run, shape in zip(passes, shapes, strict=True) if run is not None]
    if not held:
        raise _too_large(target, f"none of the {len(passes)} networks")
    runs, sizes = [run for run, _ in held], [shape for _, shape in held]
    try:
        samples = iter(interleave(runs, sizes, machine, effort, seed, progress))
    except torch.OutOfMemoryError:  # each network alone fitted; all of them with new images do not
        raise _too_large(target, f"not all of the {len(held)} networks at once") from None
    return tuple(None if run is None else next(samples) for run in passes)


def _chains(networks: Sequence[Sequence[Part]]) -> list[list[nn.Module]]:
    """Networks as lists of modules.

    Modules are shared among networks and by parts that differ only in the size of their map, but
    a part that occurs twice in one network is two modules there.
    """
    shelf: dict[tuple[Part, int], nn.Module] = {}

    def module(part: Part, copy: int) -> nn.Module:
        key = (part.deployed().module_key(), copy)
        if key not in shelf:
            shelf[key] = key[0].build().eval()
        return shelf[key]

    return [
        [module(part, parts[:i].count(part)) for i, part in enumerate(parts)] for parts in networks
    ]


def _too_large(target: Target, held: str) -> NotFittedError:
    return NotFittedError(
        f"The memory of {target.device} holds {held} in batches of {target.images}. Choose a "
        "smaller --batch-size, or close other programs that use its memory."
    )
