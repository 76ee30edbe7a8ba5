"""From a space and a GPU at hand to a profile: ten and more networks, and the shipped model.

1  networks of the space: half of them random, the others those that tell most (`fewshot.choose`)
2  all of them timed whole, in turns (`../measure.py`)
3  what the GPU makes of each term of the model (`fewshot.fit`), and the interval from the
   networks, each left out in turn

Times that came back from a kit are fitted in the same way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NotFittedError
from nas.latency.gpu.formula import TERMS
from nas.latency.gpu.predictor import GpuModel
from nas.latency.gpu.terms import sums_of, sums_of_parts, terms_of
from nas.latency.prediction import GPU_CHANGE, agreement, another_day, conformal_half_width
from nas.latency.profiles.calibrate import Plan
from nas.latency.profiles.choosing import parts_in
from nas.latency.profiles.correction import choose, fit
from nas.latency.profiles.gpu import PRIOR, GpuProfile
from nas.latency.profiles.profile import FEWEST, conditions_of
from nas.latency.profiles.whole_networks import drawn_at_random, network_records
from nas.latency.target import Target
from nas.latency.timing.gpu import GpuMachine
from nas.latency.timing.measure import measure_finalists
from nas.latency.tracing.building import without_memory
from nas.progress import Progress
from search_spaces.network import build_network
from search_spaces.part_index import PartIndex
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
POOL = 2000
"""Random networks among which the telling ones are looked for."""


def calibrate_gpu(
    space: SearchSpace,
    target: Target,
    in_channels: int,
    num_classes: int,
    *,
    plan: Plan,
    progress: Progress,
    seed: int = 0,
    machine: GpuMachine | None = None,
) -> GpuProfile:
    """Measure networks of a space on the GPU at hand and correct the model by them.

    Raises:
        NotFittedError: the GPU is not at hand, or the figures mean nothing.
        ExportError: the runtime cannot run a network.
    """
    machine = machine or GpuMachine.of(target)
    gpu = GpuModel(target)
    index = space.part_index(in_channels, num_classes)
    progress.say(f"Tracing the parts of {space.name} for {target.device}")
    parts = sums_of_parts(gpu, index)
    n = plan.compiled_networks if target.runtime == "compile" else plan.whole_networks
    codes = _codes(space, index, gpu, parts, n, np.random.default_rng(seed))
    before = machine.state()
    measured = measure_finalists(
        [space.decode(code) for code in codes],
        target,
        in_channels,
        num_classes,
        effort=plan.gpu_effort,
        seed=seed,
        progress=progress,
        machine=machine,
    )
    held, needed = measured.fits, min(FEWEST, len(codes))
    if held.sum() < needed:
        raise NotFittedError(
            f"The memory of {target.device} holds {held.sum()} of {len(codes)} networks of "
            f"'{space.name}' in batches of {target.images}; {needed} are needed. Choose a smaller "
            "--batch-size, or close what else uses it."
        )
    conditions = {
        **conditions_of(space, target, in_channels, num_classes, machine.clock.facts(), measured),
        "clocks": {"before": before, "after": machine.state()},
    }
    return corrected(
        space,
        gpu,
        parts,
        codes[held],
        measured.ms[held],
        measured.quarters_ms[held],
        measured.spread[held],
        conditions,
        plan.widest,
    )


def corrected(
    space: SearchSpace,
    gpu: GpuModel,
    parts: Floats,
    codes: Codes,
    measured: Floats,
    again: Floats,
    spread: Floats,
    conditions: dict[str, Any],
    widest: float,
) -> GpuProfile:
    """The model on a target, corrected by networks that were measured there.

    Args:
        space: What they are of.
        gpu: The model.
        parts: What it takes for each part of the space, see `sums_of_parts`.
        codes: The networks, (n, genes).
        measured: Their milliseconds, (n,).
        again: Further medians of each, for the interval, (n, m).
        spread: Of their passes, (n,).
        conditions: What the profile says about how it was made.
        widest: An interval of more than this factor to either side is refused.

    Raises:
        NotFittedError: the times do not go with the networks.
    """
    index = space.part_index(conditions["in_channels"], conditions["num_classes"])
    # Fitted to sums of parts, as populations are predicted: what is saved where parts meet and
    # their kernels run as one is in the coefficients, and how much that varies in the interval.
    found = fit(terms_of(gpu, parts[parts_in(index, codes)].sum(axis=1)), measured, PRIOR)
    half_width = conformal_half_width(found.held_out_ms[:, None], again)
    if math.exp(half_width) > widest:
        raise NotFittedError(
            f"The times of {len(codes)} networks of '{space.name}' on {gpu.target} gave nothing "
            f"to rely on: predictions would be off by a factor of {math.exp(half_width):.2g}. "
            "Either something else was running, or the times belong to other networks; measure "
            "again."
        )
    coefficients = dict(zip(TERMS, map(float, found.coefficients), strict=True))
    records = network_records(codes, measured, found.held_out_ms, spread)
    whole = terms_of(gpu, _whole_sums(space, gpu, codes, conditions))
    return GpuProfile(
        conditions={**conditions, "model": gpu.model.id},
        coefficients=coefficients,
        constant_ms=coefficients["launches"] * gpu.fixed_ms,
        parts_ms=tuple(map(float, parts[:, :-1] @ found.coefficients[:-1])),
        parts_device_ms=tuple(map(float, parts[:, :-1].sum(axis=1))),
        parts_host_ms=tuple(map(float, parts[:, -1])),
        log_half_width=another_day(half_width, GPU_CHANGE),
        held_out=agreement(found.held_out_ms, measured),
        networks=tuple(
            {**record, "terms": row} for record, row in zip(records, whole.tolist(), strict=True)
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
    """Networks to measure, (n, genes); fewer in a space that has no more."""
    pool = rng.permutation(np.unique(space.sample(POOL, rng), axis=0))
    n = min(n, len(pool))
    random, others = np.split(pool, [drawn_at_random(n)])
    if n == len(random):
        return random
    terms = terms_of(gpu, parts[parts_in(index, others)].sum(axis=1))
    return np.concatenate([random, others[choose(terms, n - len(random), rng, PRIOR)]])


def _whole_sums(
    space: SearchSpace, gpu: GpuModel, codes: Codes, conditions: dict[str, Any]
) -> Floats:
    """The sums of networks traced as a whole, so that what is fused across parts counts."""
    channels, networks = conditions["in_channels"], []
    for architecture in map(space.decode, codes):
        with without_memory():
            network = build_network(architecture, channels, conditions["num_classes"])
        side = architecture.resolution
        networks.append((network, (gpu.target.images, channels, side, side)))
    return sums_of(gpu, networks)
