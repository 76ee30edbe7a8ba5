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

from nas.errors import NotFittedError
from nas.latency.gpu.formula import TERMS
from nas.latency.gpu.predictor import GpuModel
from nas.latency.gpu.terms import sums_of_parts, sums_of_pieces, terms_of
from nas.latency.part_work import WholeNetwork
from nas.latency.prediction import GPU_CHANGE
from nas.latency.profiles.choosing import Rows, half_random_codes, most_certain
from nas.latency.profiles.correction import fit
from nas.latency.profiles.gpu import PRIOR, GpuProfile
from nas.latency.profiles.held_out import WRONG_TIMES, judge
from nas.latency.profiles.part_features import parts_in
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import FEWEST, MeasuredNetworks, Subject
from nas.latency.timing.machine import Machine
from nas.latency.timing.measure import run_job
from nas.progress import Progress
from search_spaces.space import Codes

RANDOM_NETWORKS = 2000
"""Random networks among which the design looks."""


def calibrate_gpu(
    subject: Subject, plan: Plan, progress: Progress, machine: Machine | None = None
) -> GpuProfile:
    """Measure networks of a space on the GPU at hand and correct the model by them.

    Raises:
        NotFittedError: the GPU is not at hand, or nothing was learned.
        ExportError: the runtime cannot run a network.
    """
    space, target = subject.space, subject.target
    progress.say(f"Tracing the parts of {space.name} for {target.device}")
    codes = _codes(subject, plan.networks_for(target), np.random.default_rng(0))
    timed = run_job(subject.job(codes, plan.gpu_effort), progress, machine)
    found = timed.measurement
    measured, needed = MeasuredNetworks.of(codes, found), min(FEWEST, len(codes))
    if len(measured.ms) < needed:
        raise NotFittedError(
            f"The memory of {target.device} holds {len(measured.ms)} of {len(codes)} networks of "
            f"'{space.name}' in batches of {target.images}; {needed} are needed. Choose a smaller "
            "--batch-size, or close other programs that use its memory."
        )
    conditions = {**subject.conditions(timed.facts, found), "clocks": timed.clocks}
    return corrected(subject, measured, conditions, plan.widest_for(target))


def corrected(
    subject: Subject, measured: MeasuredNetworks, conditions: dict[str, Any], widest: float
) -> GpuProfile:
    """The model on a target, corrected by networks that were measured there.

    Raises:
        NotFittedError: the times do not match the networks.
    """
    gpu = GpuModel(subject.target)
    parts = sums_of_parts(gpu, subject.index)
    # Fitted to sums of parts, because populations are predicted so: time saved by fusion across
    # parts goes into the coefficients, and its variation into the interval.
    terms = terms_of(gpu, parts[parts_in(subject.index, measured.codes)].sum(axis=1))
    found = fit(terms, measured.ms, PRIOR)
    held_out = judge(
        found.held_out_ms,
        measured.ms,
        measured.repeats_ms,
        change=GPU_CHANGE,
        widest=widest,
        what=f"The times of {len(measured.ms)} networks of '{subject.space.name}' on {gpu.target}",
        why=WRONG_TIMES,
    )
    coefficients = dict(zip(TERMS, map(float, found.coefficients), strict=True))
    records = measured.records(found.held_out_ms)
    networks = [
        WholeNetwork(subject.space.decode(code), subject.data_shape) for code in measured.codes
    ]
    of_whole = terms_of(gpu, sums_of_pieces(gpu, networks))
    return GpuProfile(
        conditions={**conditions, "model": gpu.id},
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


def _codes(subject: Subject, n: int, rng: np.random.Generator) -> Codes:
    """Networks to measure, (n, genes)."""
    gpu, index = GpuModel(subject.target), subject.index
    parts = sums_of_parts(gpu, index)

    def design(candidates: Codes, drawn: int, n: int) -> Rows:
        terms = terms_of(gpu, parts[parts_in(index, candidates[drawn:])].sum(axis=1))
        return drawn + most_certain(terms, n - drawn, rng, PRIOR)

    return half_random_codes(subject.space, rng, n, RANDOM_NETWORKS, design)
