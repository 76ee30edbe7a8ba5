"""From a space and a target on the processor at hand to a profile.

Eager, where parts can be timed while a network runs:

1  few networks that hold every part twice (`covering.py`), timed part by part
2  forty other networks from all over the predicted range, timed whole
3  the whole-network terms and the interval from those (`cpu.py`)

In other runtimes, where a network is one piece: forty networks timed whole, sixteen where each
takes half a minute to compile; what their kernels take follows from those (`whole_networks.py`).
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nas.errors import NotFittedError
from nas.latency.cost import CostTable
from nas.latency.devices import fingerprint
from nas.latency.part_work import part_operations
from nas.latency.prediction import (
    PROCESSOR_CHANGE,
    agreement,
    another_day,
    conformal_half_width,
)
from nas.latency.profiles.choosing import covering_codes, parts_in, stratified_codes
from nas.latency.profiles.least_squares import fit_relative, kernel_features
from nas.latency.profiles.parts import fit_terms, leave_one_out, network_features
from nas.latency.profiles.profile import Profile, conditions_of
from nas.latency.profiles.whole_networks import (
    PartFeatures,
    drawn_at_random,
    network_records,
    telling_codes,
    whole_networks_profile,
)
from nas.latency.target import Target
from nas.latency.timing.measure import (
    Effort,
    Processor,
    chain_pass,
    interleave,
    measure_finalists,
    whole_pass,
)
from nas.latency.timing.samples import Measurement, summary
from nas.progress import Progress
from search_spaces.network import build_network
from search_spaces.part_index import PartIndex
from search_spaces.parts import Part
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
POOL = 4000
"""Random networks from which those to measure whole are chosen."""


@dataclass(frozen=True)
class Plan:
    """How much is measured; the defaults take about two minutes on two cores."""

    times: int = 2
    """In how many networks each part is timed."""
    most_networks: int = 320
    """Parts that these do not cover are guessed from their kernels."""
    whole_networks: int = 40
    compiled_networks: int = 16
    """The same with runtime `compile`, which takes half a minute for each."""
    widest: float = 2.0
    """A 90 % interval of more than this factor to either side is refused: nothing was learned."""
    effort: Effort = field(default_factory=lambda: Effort(120.0, least=2, most=16))
    whole_effort: Effort = field(default_factory=lambda: Effort(20.0, least=4, most=200))
    """Where only whole networks are timed, after they are prepared."""
    gpu_effort: Effort = field(default_factory=lambda: Effort(30.0, 6, 200, tight=0.003))
    """The same on a GPU."""

    def within(self, seconds: float) -> Plan:
        """The same with so much time at most for the timed passes."""
        efforts = ("effort", "whole_effort", "gpu_effort")
        changes = {e: dataclasses.replace(getattr(self, e), seconds=seconds) for e in efforts}
        return dataclasses.replace(self, **changes)


def calibrate(
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
    *,
    plan: Plan,
    progress: Progress,
    seed: int = 0,
) -> Profile:
    """Measure this machine and fit its profile.

    Raises:
        NotFittedError: the machine was too busy for the figures to mean anything.
        MissingExtraError: the target's runtime, or the compiler it needs, is not installed.
    """
    index = space.part_index(in_channels, num_classes)
    rng = np.random.default_rng(seed)
    if target.runtime != "eager":
        features = PartFeatures.of(index, target.images)
        return _from_whole(space, target, features, in_channels, num_classes, plan, rng, progress)
    covering = covering_codes(space, index, rng, plan.times, plan.most_networks)
    chosen = _whole_codes(space, rng, plan.whole_networks, in_channels, num_classes)
    times, whole = _measure(space, index, target, covering, chosen, plan.effort, seed, progress)
    parts_ms, parts_mib = _tables(index, times, target.images)

    terms = network_features(parts_in(index, chosen), parts_ms, parts_mib)
    predicted = leave_one_out(terms, whole.ms)
    half_width = conformal_half_width(predicted[:, None], whole.quarters_ms)
    if math.exp(half_width) > plan.widest:
        raise NotFittedError(
            f"Measuring '{space.name}' on {target} gave nothing to rely on: predictions would be "
            f"off by a factor of {math.exp(half_width):.2g}. The machine was busy: its speed "
            f"changed by {whole.drift:.0%} meanwhile, and {whole.disturbed:.0%} of the passes "
            "were interrupted. Close other programs and try again, or use fewer threads."
        )
    return Profile(
        conditions=conditions_of(space, target, in_channels, num_classes, fingerprint(), whole),
        parts_ms=tuple(map(float, parts_ms)),
        parts_mib=tuple(map(float, parts_mib)),
        parts_timed=tuple(len(times.get(i, ())) for i in range(len(index.parts))),
        terms=fit_terms(terms, whole.ms),
        log_half_width=another_day(half_width, PROCESSOR_CHANGE),
        held_out=agreement(predicted, whole.ms),
        networks=network_records(chosen, whole.ms, predicted, whole.spread),
    )


def _from_whole(
    space: SearchSpace,
    target: Target,
    features: PartFeatures,
    in_channels: int,
    num_classes: int,
    plan: Plan,
    rng: np.random.Generator,
    progress: Progress,
) -> Profile:
    """Measure networks whole, in a runtime that knows no parts."""
    compiles = target.runtime == "compile"
    networks = plan.compiled_networks if compiles else plan.whole_networks
    codes = telling_codes(space, features, rng, networks)
    whole = measure_finalists(
        [space.decode(code) for code in codes],
        target,
        in_channels,
        num_classes,
        effort=plan.whole_effort,
        progress=progress,
    )
    return whole_networks_profile(
        features,
        codes,
        whole.ms,
        whole.quarters_ms,
        whole.spread,
        np.arange(len(codes)) < drawn_at_random(len(codes)),
        conditions_of(space, target, in_channels, num_classes, fingerprint(), whole),
        plan.widest,
    )


def _whole_codes(
    space: SearchSpace, rng: np.random.Generator, n: int, in_channels: int, num_classes: int
) -> Codes:
    """Networks to measure whole, spread over the counted work of the space."""
    codes = space.sample(POOL, rng)
    macs = CostTable(space, in_channels, num_classes).macs(codes)
    return stratified_codes(space, rng, n, np.sqrt(macs), codes)


def _measure(
    space: SearchSpace,
    index: PartIndex,
    target: Target,
    covering: Codes,
    chosen: Codes,
    effort: Effort,
    seed: int,
    progress: Progress,
) -> tuple[dict[int, list[float]], Measurement]:
    """Milliseconds of each part in each covering network; the chosen networks as a whole."""
    rows = [
        [int(p) for p in row if p] for row in parts_in(index, np.concatenate([covering, chosen]))
    ]
    shelf: dict[tuple[Part, int], nn.Module] = {}
    chains = [
        [_module(index, part, row[:i].count(part), shelf) for i, part in enumerate(row)]
        for row in rows[: len(covering)]
    ]
    stems = [_part(index, row[0]) for row in rows]
    heads = [_part(index, row[-1]) for row in rows]
    networks = [
        build_network(space.decode(code), stem.in_dim, head.out_dim).eval()
        for code, stem, head in zip(
            chosen, stems[len(covering) :], heads[len(covering) :], strict=True
        )
    ]
    samples = interleave(
        [*map(chain_pass, chains), *map(whole_pass, networks)],
        [stem.input_shape(target.images) for stem in stems],
        Processor(target),
        effort,
        seed,
        progress,
        "Measuring networks",
    )
    times: dict[int, list[float]] = defaultdict(list)
    for row, sample in zip(rows, samples[: len(covering)], strict=False):
        for part, ms in zip(row, sample.typical(), strict=True):
            times[part].append(float(ms))
    return dict(times), summary(samples[len(covering) :])


def _tables(
    index: PartIndex, times: dict[int, list[float]], batch_size: int
) -> tuple[Floats, Floats]:
    """Milliseconds and MiB of weights of every part; what was not timed is guessed."""
    ms = np.zeros(len(index.parts))
    mib = np.zeros(len(index.parts))
    missing = [i for i in range(1, len(index.parts)) if i not in times]
    for i in range(1, len(index.parts)):
        if i in times:
            ms[i] = np.mean(times[i])
        parameters = _part(index, i).module_key().build().parameters()
        mib[i] = sum(p.numel() * p.element_size() for p in parameters) / 2**20
    if missing:
        known = sorted(times)
        features = {
            i: kernel_features(part_operations(_part(index, i), batch_size)[1])
            for i in [*known, *missing]
        }
        weights = fit_relative(np.stack([features[i] for i in known]), ms[known])
        ms[missing] = np.stack([features[i] for i in missing]) @ weights
    return ms, mib


def _module(
    index: PartIndex, part: int, copy: int, shelf: dict[tuple[Part, int], nn.Module]
) -> nn.Module:
    """A part's module; parts that differ in size share it, repeats in one network do not."""
    key = (_part(index, part).module_key(), copy)
    if key not in shelf:
        shelf[key] = key[0].build().eval()
    return shelf[key]


def _part(index: PartIndex, i: int) -> Part:
    part = index.parts[i]
    assert part is not None  # only position 0 is empty
    return part
