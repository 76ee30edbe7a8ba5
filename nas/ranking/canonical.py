"""One code for networks that compute the same, and the number of blocks that have a mixer.

In a stage of layout `bare`, a block without mixers is the map itself, except for the first, which
may change its shape. Such blocks can stand anywhere in their stage: NAS-Bench-Macro has 6,561
codes for 3,969 networks. Here they come last.
"""

from __future__ import annotations

import numpy as np

from nas.search.protocol import Bools, Codes, Floats
from search_spaces.space import SearchSpace

_NOTHING = {"mixer": "identity", "channel_mixer": "none"}


def canonical_codes(space: SearchSpace, codes: Codes) -> Codes:
    """The codes with the blocks that do nothing last in their stages, (n, genes).

    They describe networks; where a stage offers each of its blocks other choices, they are left
    as they are.
    """
    codes, idle, active = np.array(codes), _idle(space, codes), space.active(codes)
    for blocks in _stages(space):
        genes = np.array(blocks[1:])  # (blocks, roles)
        if not len(genes) or not _alike(space, genes):
            continue
        first = genes[:, 0]
        late = np.where(active[:, first], idle[:, first].astype(int), 2)
        order = np.argsort(late, axis=1, kind="stable")
        for role in genes.T:
            codes[:, role] = np.take_along_axis(codes[:, role], order, axis=1)
    return codes


def depths(space: SearchSpace, codes: Codes) -> Floats:
    """The number of blocks of each network that have a mixer: (n,)."""
    first = [genes[0] for blocks in _stages(space) for genes in blocks]
    computing = space.active(codes) & ~_idle(space, codes)
    return np.asarray(computing[:, first].sum(axis=1), dtype=float)


def _stages(space: SearchSpace) -> list[list[list[int]]]:
    """The genes of each block of each stage."""
    found: list[list[list[int]]] = [[] for _ in space.definition.stages]
    for number, gene in enumerate(space.genes):
        if gene.block is not None:
            stage, block = gene.block
            if block == len(found[stage]):
                found[stage].append([])
            found[stage][block].append(number)
    return found


def _alike(space: SearchSpace, genes: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> bool:
    """Whether all blocks offer the same choices."""
    return all(
        space.genes[other].choices == space.genes[role[0]].choices
        for role in genes.T
        for other in role[1:]
    )


def _idle(space: SearchSpace, codes: Codes) -> Bools:
    """Which genes belong to a block without mixers in a stage of layout `bare`: (n, genes)."""
    idle = np.zeros(np.shape(codes), dtype=bool)
    for stage, blocks in zip(space.definition.stages, _stages(space), strict=True):
        if not stage.strides:
            continue
        for genes in blocks:
            nothing = [
                np.array(space.genes[gene].kinds)[codes[:, gene]]
                == _NOTHING[space.genes[gene].role]
                for gene in genes
            ]
            idle[:, genes] = np.all(nothing, axis=0)[:, None]
    return idle
