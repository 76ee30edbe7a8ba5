"""Few networks in which every part of a space is seen, and networks from all over a range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.part_index import PartIndex, Slot
from search_spaces.space import Codes, SearchSpace

CANDIDATES = 48
"""Networks among which the next one is chosen."""


def covering_codes(
    space: SearchSpace, index: PartIndex, rng: np.random.Generator, times: int, most: int
) -> Codes:
    """Codes (n, genes), at most `most`, in which each part stands at least `times` times.

    Greedy: of random networks that hold a part still missing, take the one that adds most.
    """
    seen = np.zeros(len(index.parts), dtype=np.int64)
    seen[0] = times  # nothing stands there
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
    space: SearchSpace, rng: np.random.Generator, n: int, values: NDArray[np.float64], codes: Codes
) -> Codes:
    """`n` of the given codes, one from each of `n` equal bands of their values, plus the extremes.

    Args:
        space: What the codes are of.
        rng: Source of randomness.
        n: How many; the space's smallest and largest are two of them.
        values: One number for each code, such as a first guess of its latency, (m,).
        codes: To choose from, (m, genes).
    """
    extremes = np.stack([space.smallest(), space.largest()])
    low, high = np.percentile(values, [1, 99])
    edges = np.linspace(low, high, max(n - 2, 1) + 1)
    picked = []
    for i in range(max(n - 2, 0)):
        inside = np.flatnonzero((values >= edges[i]) & (values <= edges[i + 1]))
        picked.append(int(rng.choice(inside if len(inside) else len(codes))))
    return np.concatenate([extremes, codes[picked]])[:n].astype(np.int16)


def parts_in(index: PartIndex, codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Which part stands in each slot of each network, (n, slots); 0 where none does."""
    columns = [slot.index[tuple(codes[:, g] for g in slot.genes)] for slot in index.slots]
    return np.stack(columns, axis=1).astype(np.int64)


def _places(index: PartIndex) -> dict[int, tuple[Slot, tuple[int, ...]]]:
    """For each part a slot where it can stand and the genes that put it there."""
    places: dict[int, tuple[Slot, tuple[int, ...]]] = {}
    for slot in index.slots:
        for genes, part in np.ndenumerate(slot.index):
            places.setdefault(int(part), (slot, genes))
    return places
