"""Which networks of a space to measure.

    covering_codes      few networks in which every part of the space occurs: parts are timed
    stratified_codes    networks from the whole range of latencies: parts were timed, whole
                        networks check their sums
    half_random_codes   half of them random, which say how good a fit is, half chosen for what
                        they tell the fit:
        d_optimal           without any prior: the greatest volume of information
        most_certain        with a prior: the smallest variance of all other networks

Nothing has to be measured to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.errors import SettingsError
from nas.latency.profiles.correction import Prior, checked_terms, near_one
from nas.latency.profiles.least_squares import log_sum
from nas.latency.profiles.part_features import PartFeatures, parts_in
from search_spaces.part_index import PartIndex, Slot
from search_spaces.space import Codes, SearchSpace

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
CANDIDATES = 48
"""Networks among which `covering_codes` chooses the next one."""
RANDOM_NETWORKS = 4000
"""Random networks among which `telling_codes` looks."""
MOST_CANDIDATES = 2000
"""Networks among which `most_certain` looks."""
KNOWN = 1e-3
"""Information on each coefficient that `d_optimal` begins with, so that its inverse exists."""
EXPECTED_NOISE = 0.02
"""Standard deviation of log ms that `most_certain` assumes."""


def covering_codes(
    space: SearchSpace, index: PartIndex, rng: np.random.Generator, times: int, most: int
) -> Codes:
    """Codes (n, genes), at most `most`, in which each part occurs at least `times` times.

    Greedy: of random networks that contain a missing part, take the one that adds most.
    """
    seen = np.zeros(len(index.parts), dtype=np.int64)
    seen[0] = times  # the empty part
    places = _places(index)
    chosen: list[Codes] = []
    while len(chosen) < most and (seen < times).any():
        missing = np.flatnonzero(seen < times)
        wanted = rng.choice(missing, min(CANDIDATES, len(missing)), replace=False)
        codes = space.sample(len(wanted), rng)
        for row, part in enumerate(wanted):
            slot, genes = places[int(part)]
            codes[row, list(slot.genes)] = genes
        codes = space.canonical(codes)
        parts = parts_in(index, codes)
        gains = [int((seen[np.unique(row)] < times).sum()) for row in parts]
        best = int(np.argmax(gains))
        seen[np.unique(parts[best])] += 1
        chosen.append(codes[best])
    return np.array(chosen, dtype=np.int16).reshape(-1, space.num_genes)


def stratified_codes(
    space: SearchSpace, rng: np.random.Generator, n: int, values: Floats, codes: Codes
) -> Codes:
    """`n` networks: the smallest, the largest and one from each of `n - 2` equal bands of values.

    Args:
        values: One number for each code, such as a first estimate of its latency, (m,).
    """
    extremes = np.stack([space.smallest(), space.largest()])
    low, high = np.percentile(values, [1, 99])
    edges = np.linspace(low, high, max(n - 2, 1) + 1)
    picked = []
    for i in range(max(n - 2, 0)):
        inside = np.flatnonzero((values >= edges[i]) & (values <= edges[i + 1]))
        picked.append(int(rng.choice(inside if len(inside) else len(codes))))
    return np.concatenate([extremes, codes[picked]])[:n].astype(np.int16)


def telling_codes(
    space: SearchSpace, features: PartFeatures, rng: np.random.Generator, n: int
) -> Codes:
    """Networks to measure where nothing is known of the device, (n, genes).

    The design sees the shares of each kind of work in a network, so that it does not prefer large
    networks.
    """

    def design(candidates: Codes, drawn: int, n: int) -> Rows:
        table = features.networks(candidates)
        shares = table / np.maximum(table.mean(axis=0), 1e-30)
        shares /= shares.sum(axis=1, keepdims=True)
        return d_optimal(shares, range(drawn), n - drawn)

    return half_random_codes(space, rng, n, RANDOM_NETWORKS, design)


def half_random_codes(
    space: SearchSpace,
    rng: np.random.Generator,
    n: int,
    pool: int,
    design: Callable[[Codes, int, int], Rows],
) -> Codes:
    """Networks to measure, (n, genes), first the random half; fewer if the space has no more.

    Args:
        design: Given candidates (m, genes), how many of the first are drawn, and n: the rows of
            the others, (n - drawn,).
    """
    candidates = rng.permutation(np.unique(space.sample(pool, rng), axis=0))
    n = min(n, len(candidates))
    drawn = drawn_at_random(n)
    if n == drawn:
        return candidates[:n]
    return np.concatenate([candidates[:drawn], candidates[design(candidates, drawn, n)]])


def drawn_at_random(n: int) -> int:
    """How many of n networks are drawn at random; they come first."""
    return (n + 1) // 2


def d_optimal(rows: Floats, given: Sequence[int], n: int) -> Rows:
    """The n rows that add most to what the given rows tell of the coefficients (D-optimal).

    Greedy: the next row x has the largest x' M^-1 x, with M the information of the rows so far.

    Args:
        rows: Candidates, (m, k).
        given: Rows that are measured in any case.
    """
    chosen: list[int] = []
    left = np.ones(len(rows), dtype=bool)
    left[list(given)] = False
    information = KNOWN * np.eye(rows.shape[1]) + rows[list(given)].T @ rows[list(given)]
    while len(chosen) < n:
        news = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(information), rows)
        best = int(np.argmax(np.where(left, news, -1.0)))
        chosen.append(best)
        left[best] = False
        information += np.outer(rows[best], rows[best])
    return np.array(chosen, dtype=np.int64)


def most_certain(
    features: Floats, n: int, rng: np.random.Generator, prior: Prior | None = None
) -> Rows:
    """Rows of the n networks whose measurement makes all others the most certain, best first.

    Greedy on the summed variance of log ms around the prior's mean.

    Args:
        features: Terms of the candidates, (candidates, k).
        rng: Draws the candidates if there are more than `MOST_CANDIDATES`.
        prior: What `correction.fit` will be given.

    Raises:
        SettingsError: wrong terms, or fewer than n candidates.
    """
    prior = prior or near_one(features)
    features = checked_terms(features, len(prior.mean))
    if not 1 <= n <= len(features):
        raise SettingsError(f"Cannot choose {n} of {len(features)} networks.")
    pool = rng.permutation(len(features))[: max(MOST_CANDIDATES, n)]
    rows = log_sum(features[pool], prior.mean)[1] @ prior.root()
    chosen: list[int] = []
    for _ in range(n):
        shared = ((rows @ (rows.T @ rows)) * rows).sum(axis=1)
        gains = shared / ((rows**2).sum(axis=1) + EXPECTED_NOISE**2)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        row = rows[chosen[-1]]
        norm = max(float(row @ row), 1e-300)
        left = EXPECTED_NOISE / math.sqrt(EXPECTED_NOISE**2 + norm)
        # rows @ rows.T is the remaining covariance: this is a rank-one update of its root.
        rows = rows - np.outer(rows @ row, row) * ((1.0 - left) / norm)
    return pool[chosen].astype(np.int64)


def _places(index: PartIndex) -> dict[int, tuple[Slot, tuple[int, ...]]]:
    """For each part a slot where it can stand and the genes that put it there."""
    places: dict[int, tuple[Slot, tuple[int, ...]]] = {}
    for slot in index.slots:
        for genes, part in np.ndenumerate(slot.index):
            places.setdefault(int(part), (slot, genes))
    return places
