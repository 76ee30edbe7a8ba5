"""A profile from a few whole networks, where their parts cannot be timed by themselves.

    ms = c + sum over kernel kinds k of (a_k launches + b_k FLOPs + d_k bytes),   none negative

Compilers and onnxruntime fuse what parts share, and a phone only runs what it is given: there
whole networks are measured, and what each kind of kernel takes follows from them, without a guess
beforehand (with one, for a device that is like others: `fewshot.py`). Half of the
networks are drawn at random; the others are those that tell most about the coefficients beside
them (a greedy D-optimal design). The 90 % interval is split-conformal as in `cpu.py`, from the
random half alone: networks that were chosen for being unusual say nothing of usual errors.

Seen with onnxruntime on 107 networks of hybrid-tiny, of which the 37 tested were never fitted
on: mean error 7.0 % from 12 networks, 6.2 % from 16, 4.7 % from 24, 3.7 % from 40, with 91 to
95 % of them inside the interval. From 12 that are all random: 9.7 %.

Paper: split conformal prediction, Lei et al. 2018, https://arxiv.org/abs/1604.04173
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NotFittedError
from nas.latency.part_work import part_operations
from nas.latency.prediction import (
    PROCESSOR_CHANGE,
    agreement,
    another_day,
    conformal_half_width,
)
from nas.latency.profiles.choosing import parts_in
from nas.latency.profiles.least_squares import fit_few, kernel_features
from nas.latency.profiles.profile import Profile, Terms
from search_spaces.part_index import PartIndex
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
POOL = 4000
"""Random networks among which the telling ones are looked for."""
FEWEST_RANDOM = 3
"""With fewer random networks than this the interval comes from all that there are."""
KNOWN = 1e-3
"""How much is known of each coefficient beforehand, so that the design is defined at once."""


@dataclass(frozen=True)
class PartFeatures:
    """What the parts of a space launch for one batch: `kernels` (parts, f) and weights' MiB."""

    index: PartIndex
    kernels: Floats
    mib: Floats

    @classmethod
    def of(cls, index: PartIndex, images: int) -> PartFeatures:
        """Trace every part for a batch of so many images."""
        traced = [part_operations(part, images) if part else (0, []) for part in index.parts]
        return cls(
            index,
            np.stack([kernel_features(kernels) for _, kernels in traced]),
            np.array([params * 4 / 2**20 for params, _ in traced], dtype=np.float64),
        )

    def networks(self, codes: Codes) -> Floats:
        """1 and the summed features of networks, (n, 1 + f)."""
        sums = self.kernels[parts_in(self.index, codes)].sum(axis=1)
        return np.concatenate([np.ones((len(codes), 1)), sums], axis=1)


def telling_codes(
    space: SearchSpace, features: PartFeatures, rng: np.random.Generator, n: int
) -> Codes:
    """Networks to measure, (n, genes): the first half at random, then those that tell most.

    They are fewer in a space that has no more. A network counts by its shares of each kind of
    work, so that large ones are not preferred.
    """
    pool = rng.permutation(np.unique(space.sample(POOL, rng), axis=0))
    n = min(n, len(pool))
    table = features.networks(pool)
    shares = table / np.maximum(table.mean(axis=0), 1e-30)
    shares /= shares.sum(axis=1, keepdims=True)
    chosen = list(range(drawn_at_random(n)))
    left = np.ones(len(pool), dtype=bool)
    left[chosen] = False
    information = KNOWN * np.eye(shares.shape[1]) + shares[chosen].T @ shares[chosen]
    while len(chosen) < n:
        news = np.einsum("ij,jk,ik->i", shares, np.linalg.inv(information), shares)
        best = int(np.argmax(np.where(left, news, -1.0)))
        chosen.append(best)
        left[best] = False
        information += np.outer(shares[best], shares[best])
    return pool[chosen]


def drawn_at_random(n: int) -> int:
    """How many of n networks are drawn at random; they come first."""
    return (n + 1) // 2


def whole_networks_profile(
    features: PartFeatures,
    codes: Codes,
    measured: Floats,
    again: Floats,
    spread: Floats,
    random: NDArray[np.bool_],
    conditions: dict[str, Any],
    widest: float,
) -> Profile:
    """Fit the coefficients and price every part.

    Args:
        features: Of the space's parts.
        codes: The networks, (n, genes).
        measured: Their milliseconds, (n,).
        again: Further medians of each, for the interval, (n, m).
        spread: Of their passes, (n,).
        random: Which of them were drawn at random, (n,).
        conditions: What the profile says about how it was made.
        widest: An interval of more than this factor to either side is refused.

    Raises:
        NotFittedError: the times do not go with the networks.
    """
    table = features.networks(codes)
    others = [np.arange(len(codes)) != i for i in range(len(codes))]
    predicted = np.array(
        [float(table[i] @ fit_few(table[o], measured[o])) for i, o in enumerate(others)]
    )
    judged = random if random.sum() >= FEWEST_RANDOM else np.ones(len(codes), dtype=bool)
    half_width = conformal_half_width(predicted[judged][:, None], again[judged])
    if math.exp(half_width) > widest:
        raise NotFittedError(
            f"These times of {len(codes)} networks of '{conditions['space']}' gave nothing to "
            f"rely on: predictions would be off by a factor of {math.exp(half_width):.2g}. Either "
            "something else was running, or the times belong to other networks; measure again."
        )
    constant, *weights = fit_few(table, measured)
    return Profile(
        conditions=conditions,
        parts_ms=tuple(map(float, features.kernels @ np.array(weights))),
        parts_mib=tuple(map(float, features.mib)),
        parts_timed=(0,) * len(features.mib),
        terms=Terms(float(constant), 1.0, 0.0, 0.0),
        log_half_width=another_day(half_width, PROCESSOR_CHANGE),
        held_out=agreement(predicted[judged], measured[judged]),
        networks=network_records(codes, measured, predicted, spread),
    )


def network_records(
    codes: Codes, measured: Floats, predicted: Floats, spread: Floats
) -> tuple[dict[str, Any], ...]:
    """Measured networks as a profile keeps them."""
    rows = zip(codes, measured, predicted, spread, strict=True)
    return tuple(
        {
            "code": [int(gene) for gene in code],
            "ms": float(ms),
            "predicted_ms": float(guess),
            "spread": None if math.isnan(width) else float(width),
        }
        for code, ms, guess, width in rows
    )
