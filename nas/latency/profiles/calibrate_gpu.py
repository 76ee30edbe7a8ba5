"""Calibrating a GPU: measure ten and more networks of a space, and correct the shipped model.

1  networks of the space: half of them random, half chosen (`choosing.most_certain`)
2  all of them timed as a whole, in turns (`timing/measure.py`)
3  how the GPU differs from each term of the model (`correction.fit`), and the interval from the
   networks, each predicted by a fit to the others

Times that come back from a kit are fitted in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NotFittedError
from nas.latency.gpu.formula import TERMS
from nas.latency.gpu.predictor import GpuModel
from nas.latency.gpu.terms import sums_of, sums_of_parts, terms_of
from nas.latency.prediction import GPU_CHANGE
from nas.latency.profiles.choosing import Rows, half_random_codes, most_certain
from nas.latency.profiles.correction import fit
from nas.latency.profiles.gpu import PRIOR, GpuProfile
from nas.latency.profiles.held_out import WRONG_TIMES, judge
from nas.latency.profiles.part_features import parts_in
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import FEWEST, MeasuredNetworks, conditions_of
from nas.latency.target import Target
from nas.latency.timing.gpu import GpuMachine
from nas.latency.timing.machine import Machine
from nas.latency.timing.measure import measure_finalists
from nas.latency.tracing.building import without_memory
from nas.progress import Progress
from search_spaces.network import build_network
from search_spaces.part_index import PartIndex
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
RANDOM_NETWORKS = 2000
"""Random networks among which the design looks."""


def calibrate_gpu(
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
    *,
    plan: Plan,
    progress: Progress,
    seed: int = 0,
    machine: Machine | None = None,
) -> GpuProfile:
    """Measure networks of a space on the GPU at hand and correct the model by them.

    Raises:
        NotFittedError: the GPU is not at hand, or nothing was learned.
        ExportError: the runtime cannot run a network.
    """
    machine = machine or GpuMachine.of(target)
    gpu = GpuModel(target)
    index = space.part_index(in_channels, num_classes)
    progress.say(f"Tracing the parts of {space.name} for {target.device}")
    parts = sums_of_parts(gpu, index)
    rng = np.random.default_rng(seed)
    codes = _codes(space, index, gpu, parts, plan.networks_for(target), rng)
    before = machine.state()
    found = measure_finalists(
        [space.decode(code) for code in codes],
        target,
        in_channels,
        num_classes,
        effort=plan.gpu_effort,
        seed=seed,
        progress=progress,
        machine=machine,
    )
    measured, needed = MeasuredNetworks.of(codes, found), min(FEWEST, len(codes))
    if len(measured.ms) < needed:
        raise NotFittedError(
            f"The memory of {target.device} holds {len(measured.ms)} of {len(codes)} networks of "
            f"'{space.name}' in batches of {target.images}; {needed} are needed. Choose a smaller "
            "--batch-size, or close other programs that use its memory."
        )
    conditions = {
        **conditions_of(space, target, in_channels, num_classes, machine.facts(), found),
        "clocks": {"before": before, "after": machine.state()},
    }
    return corrected(space, gpu, parts, measured, conditions, plan.widest)


def corrected(
    space: SearchSpace,
    gpu: GpuModel,
    parts: Floats,
    measured: MeasuredNetworks,
    conditions: dict[str, Any],
    widest: float,
) -> GpuProfile:
    """The model on a target, corrected by networks that were measured there.

    Args:
        parts: What it predicts for each part of the space, see `sums_of_parts`.

    Raises:
        NotFittedError: the times do not match the networks.
    """
    index = space.part_index(conditions["in_channels"], conditions["num_classes"])
    # Fitted to sums of parts, because populations are predicted so: time saved by fusion across
    # parts goes into the coefficients, and its variation into the interval.
    terms = terms_of(gpu, parts[parts_in(index, measured.codes)].sum(axis=1))
    found = fit(terms, measured.ms, PRIOR)
    held_out = judge(
        found.held_out_ms,
        measured.ms,
        measured.repeats_ms,
        change=GPU_CHANGE,
        widest=widest,
        what=f"The times of {len(measured.ms)} networks of '{space.name}' on {gpu.target}",
        why=WRONG_TIMES,
    )
    coefficients = dict(zip(TERMS, map(float, found.coefficients), strict=True))
    records = measured.records(found.held_out_ms)
    of_whole = terms_of(gpu, _whole_sums(space, gpu, measured.codes, conditions))
    return GpuProfile(
        conditions={**conditions, "model": gpu.model.id},
        coefficients=coefficients,
        constant_ms=coefficients["launches"] * gpu.fixed_ms,
        parts_ms=tuple(map(float, parts[:, :-1] @ found.coefficients[:-1])),
        parts_device_ms=tuple(map(float, parts[:, :-1].sum(axis=1))),
        parts_host_ms=tuple(map(float, parts[:, -1])),
        log_half_width=held_out.log_half_width,
        held_out=held_out.figures,
        networks=tuple(
            {**record, "terms": row}
            for record, row in zip(records, of_whole.tolist(), strict=True)
        ),
    )


def _codes(
    space: SearchSpace,
    index: PartIndex,
    gpu: GpuModel,
    parts: Floats,
    n: int,
    rng: np.random.Generator,
) -> Codes:
    """Networks to measure, (n, genes)."""

    def design(candidates: Codes, drawn: int, n: int) -> Rows:
        terms = terms_of(gpu, parts[parts_in(index, candidates[drawn:])].sum(axis=1))
        return drawn + most_certain(terms, n - drawn, rng, PRIOR)

    return half_random_codes(space, rng, n, RANDOM_NETWORKS, design)


def _whole_sums(
    space: SearchSpace, gpu: GpuModel, codes: Codes, conditions: dict[str, Any]
) -> Floats:
    """The sums of networks that are traced as a whole, so that fusion across parts counts."""
    channels, networks = conditions["in_channels"], []
    for architecture in map(space.decode, codes):
        with without_memory():
            network = build_network(architecture, channels, conditions["num_classes"])
        side = architecture.resolution
        networks.append((network, (gpu.target.images, channels, side, side)))
    return sums_of(gpu, networks)
