"""A profile from a few whole networks, where their parts cannot be timed.

    ms = a + sum over kinds of operation k of (b_k number + c_k FLOPs + d_k bytes),  none negative

Compilers and onnxruntime fuse operations across parts, and a phone only runs the networks that it
is given. There whole networks are measured, and a fit finds what each kind of operation takes.
(For a device that resembles known ones use `correction.py`.) Half of the networks are random; the
others tell most about the coefficients (`choosing.telling_codes`). The 90 % interval comes from
the random half alone: networks that were chosen because they are unusual do not show usual errors.

Seen with onnxruntime on 107 networks of hybrid-tiny, of which the 37 tested were never fitted
on: mean error 7.0 % from 12 networks, 6.2 % from 16, 4.7 % from 24, 3.7 % from 40, with 91 to
95 % of them inside the interval. From 12 that are all random: 9.7 %.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.latency.prediction import PROCESSOR_CHANGE
from nas.latency.profiles.choosing import drawn_at_random, telling_codes
from nas.latency.profiles.held_out import WRONG_TIMES, judge, leave_one_out
from nas.latency.profiles.least_squares import fit_non_negative
from nas.latency.profiles.part_features import PartFeatures
from nas.latency.profiles.parts import PartsProfile, Terms
from nas.latency.profiles.plan import Plan
from nas.latency.profiles.profile import MeasuredNetworks, Subject
from nas.latency.timing.load import tell_load
from nas.latency.timing.machine import Machine
from nas.latency.timing.measure import run_job
from nas.progress import Progress

Floats = NDArray[np.float64]
FEWEST_RANDOM = 3
"""With fewer random networks than this the interval comes from all networks."""
RIDGE = 0.1
"""Pulls towards zero what each kind of operation takes; see `fit_non_negative`."""
fit_few = partial(fit_non_negative, ridge=RIDGE)


def calibrate_whole_networks(
    subject: Subject, plan: Plan, progress: Progress, machine: Machine | None = None
) -> PartsProfile:
    """Measure whole networks of a space on this machine and make their profile.

    Raises:
        NotFittedError: the machine was too busy to learn anything.
        MissingExtraError: the target's runtime, or the compiler it needs, is not installed.
        ExportError: the runtime cannot run a network of the space.
    """
    target = subject.target
    features = PartFeatures.of(subject.index, target.images)
    n = plan.networks_for(target)
    codes = telling_codes(subject.space, features, np.random.default_rng(0), n)
    if machine is None:
        tell_load(target, progress)
    timed = run_job(subject.job(codes, plan.whole_effort), progress, machine)
    found = timed.measurement
    return whole_networks_profile(
        features,
        MeasuredNetworks.of(codes, found),
        np.arange(len(codes)) < drawn_at_random(len(codes)),
        subject.conditions(timed.facts, found),
        plan.widest_for(target),
    )


def whole_networks_profile(
    features: PartFeatures,
    measured: MeasuredNetworks,
    random: NDArray[np.bool_],
    conditions: dict[str, Any],
    widest: float,
) -> PartsProfile:
    """Fit what each kind of operation takes, and from that the time of every part.

    Args:
        random: Which of them were drawn at random, (n,).

    Raises:
        NotFittedError: the times do not match the networks.
    """
    table = features.networks(measured.codes)
    predicted = leave_one_out(table, measured.ms, fit_few)
    judged = random if random.sum() >= FEWEST_RANDOM else np.ones(len(random), dtype=bool)
    held_out = judge(
        predicted[judged],
        measured.ms[judged],
        measured.repeats_ms[judged],
        calm=None if measured.calm_ms is None else measured.calm_ms[judged],
        change=PROCESSOR_CHANGE,
        widest=widest,
        what=f"These times of {len(measured.ms)} networks of '{conditions['space']}'",
        why=WRONG_TIMES,
    )
    constant, *weights = fit_few(table, measured.ms)
    return PartsProfile(
        conditions=conditions,
        parts_ms=tuple(map(float, features.parts @ np.array(weights))),
        parts_mib=tuple(map(float, features.mib)),
        parts_timed=(0,) * len(features.mib),
        terms=Terms(float(constant), 1.0, 0.0, 0.0),
        log_half_width=held_out.log_half_width,
        held_out=held_out.figures,
        networks=measured.records(predicted),
    )
