"""Calibrating the processor at hand, in eager: measure a space's parts and make a profile.

1  few networks that contain every part twice, timed part by part  (`choosing.covering_codes`)
2  forty other networks from the whole range of costs, timed as a whole
3  the four terms of `parts.py`, fitted to the whole networks, and their interval (`held_out.py`)

All networks of steps 1 and 2 take turns. The interval compares each whole network with its
medians in four spans of time, so that it holds for a later measurement on a machine whose speed
changes as it did meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.latency.cost import CostTable
from nas.latency.part_work import part_operations
from nas.latency.prediction import PROCESSOR_CHANGE
from nas.latency.profiles.choosing import covering_codes, stratified_codes
from nas.latency.profiles.held_out import busy, judge, leave_one_out
from nas.latency.profiles.least_squares import fit_non_negative
from nas.latency.profiles.part_features import operation_features, parts_in
from nas.latency.profiles.parts import PartsProfile, Terms
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import MeasuredNetworks, Subject
from nas.latency.timing.load import tell_load
from nas.latency.timing.machine import Machine
from nas.latency.timing.measure import run_job
from nas.latency.timing.samples import Measurement, Samples, summary
from nas.progress import Progress
from search_spaces.part_index import PartIndex
from search_spaces.parts import Part, parts_of
from search_spaces.space import Codes

Floats = NDArray[np.float64]
RANDOM_NETWORKS = 4000
"""Random networks from which those to time as a whole are chosen."""


def calibrate_parts(
    subject: Subject, plan: Plan, progress: Progress, machine: Machine | None = None
) -> PartsProfile:
    """Measure the parts of a space on this machine and make their profile.

    Raises:
        NotFittedError: the machine was too busy to learn anything.
    """
    space, index = subject.space, subject.index
    rng = np.random.default_rng(0)
    covering = covering_codes(space, index, rng, plan.times, plan.most_networks)
    codes = _whole_codes(subject, rng, plan.whole_networks)
    job = subject.job(np.concatenate([covering, codes]), plan.effort, by_part=len(covering))
    if machine is None:
        tell_load(subject.target, progress)
    timed = run_job(job, progress, machine)
    samples = [sample for sample in timed.samples if sample is not None]
    number = {part: i for i, part in enumerate(index.parts)}
    timed_by_part = job.architectures[: len(covering)]
    rows = [[number[p] for p in parts_of(a, job.data_shape).values()] for a in timed_by_part]
    times, whole = _part_times(rows, samples[: len(covering)]), summary(samples[len(covering) :])
    conditions = subject.conditions(timed.facts, whole)
    return _profile(subject, times, MeasuredNetworks.of(codes, whole), conditions, plan, whole)


def _profile(
    subject: Subject,
    times: dict[int, list[float]],
    measured: MeasuredNetworks,
    conditions: dict[str, Any],
    plan: Plan,
    whole: Measurement,
) -> PartsProfile:
    """Fit the terms of `parts.py`."""
    index, target = subject.index, subject.target
    parts_ms, parts_mib = _tables(index, times, target.images)
    features = network_features(parts_in(index, measured.codes), parts_ms, parts_mib)
    predicted = leave_one_out(features, measured.ms, fit_non_negative)
    held_out = judge(
        predicted,
        measured.ms,
        measured.repeats_ms,
        calm=measured.calm_ms,
        change=PROCESSOR_CHANGE,
        widest=plan.widest_for(target),
        what=f"Measuring '{subject.space.name}' on {target}",
        why=busy(whole),
    )
    return PartsProfile(
        conditions=conditions,
        parts_ms=tuple(map(float, parts_ms)),
        parts_mib=tuple(map(float, parts_mib)),
        parts_timed=tuple(len(times.get(i, ())) for i in range(len(index.parts))),
        terms=Terms(*map(float, fit_non_negative(features, measured.ms))),
        log_half_width=held_out.log_half_width,
        held_out=held_out.figures,
        networks=measured.records(predicted),
    )


def network_features(parts: NDArray[np.int64], parts_ms: Floats, parts_mib: Floats) -> Floats:
    """What `Terms` multiply, (n, slots) -> (n, 4).

    These are 1, the summed times of the parts, their number, and the MiB of their weights.
    """
    present = (parts > 0).sum(axis=1)
    columns = (np.ones(len(parts)), parts_ms[parts].sum(axis=1), present)
    return np.stack([*columns, parts_mib[parts].sum(axis=1)], axis=1).astype(np.float64)


def _whole_codes(subject: Subject, rng: np.random.Generator, n: int) -> Codes:
    """Networks to time as a whole, spread over the counted work of the space."""
    codes = subject.space.sample(RANDOM_NETWORKS, rng)
    macs = CostTable(subject.space, subject.data_shape).macs(codes)
    return stratified_codes(subject.space, rng, n, np.sqrt(macs), codes)


def _part_times(rows: list[list[int]], samples: list[Samples]) -> dict[int, list[float]]:
    """Milliseconds of each part in each network in which it was timed."""
    times: dict[int, list[float]] = defaultdict(list)
    for row, sample in zip(rows, samples, strict=False):
        for part, ms in zip(row, sample.typical(), strict=True):
            times[part].append(float(ms))
    return dict(times)


def _tables(
    index: PartIndex, times: dict[int, list[float]], batch_size: int
) -> tuple[Floats, Floats]:
    """Milliseconds of every part and MiB of its weights; parts without times are estimated."""
    ms = np.zeros(len(index.parts))
    mib = np.zeros(len(index.parts))
    missing = [i for i in range(1, len(index.parts)) if i not in times]
    for i in range(1, len(index.parts)):
        if i in times:
            ms[i] = np.mean(times[i])
        parameters = _part(index, i).deployed().module_key().build().parameters()
        mib[i] = sum(p.numel() * p.element_size() for p in parameters) / 2**20
    if missing:
        known = sorted(times)
        features = {
            i: operation_features(part_operations(_part(index, i), batch_size)[1])
            for i in [*known, *missing]
        }
        weights = fit_non_negative(np.stack([features[i] for i in known]), ms[known])
        ms[missing] = np.stack([features[i] for i in missing]) @ weights
    return ms, mib


def _part(index: PartIndex, i: int) -> Part:
    part = index.parts[i]
    assert part is not None  # only position 0 is empty
    return part
