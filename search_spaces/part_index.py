"""From codes to parts by table look-up, so that sums over parts are a gather and a sum.

A slot is a place in the network (the mixer of block 2 of stage 1). The part in a slot depends on a
few genes only, so each slot has a table over those genes with indices into one list of distinct
parts. Any number known for each part (MACs, milliseconds) can be summed for many codes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from search_spaces.genes import Gene
from search_spaces.parts import Part
from search_spaces.slots import OpenSlot

CHUNK = 8192
"""Number of rows processed at once: their codes and indices fit the second-level cache."""


@dataclass(frozen=True)
class Slot:
    """A place in the network, the genes that decide its part, and the table of parts.

    `index` has one axis per gene and holds indices into `PartIndex.parts`; 0 is an empty slot.
    """

    name: str
    genes: tuple[int, ...]
    index: NDArray[np.int32]


@dataclass(frozen=True)
class PartIndex:
    """All slots of a space and the distinct parts that can be in them; `parts[0]` is None."""

    slots: tuple[Slot, ...]
    parts: tuple[Part | None, ...]

    def sums(self, codes: NDArray[np.integer], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of `values` (parts,) over the parts of each architecture: (n, genes) -> (n,)."""
        return self._reduce(codes, values, np.add)

    def maxima(
        self, codes: NDArray[np.integer], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The largest of `values` (parts,) among the parts of each architecture, (n,)."""
        return self._reduce(codes, values, np.maximum)

    def _reduce(
        self, codes: NDArray[np.integer], values: NDArray[np.float64], combine: np.ufunc
    ) -> NDArray[np.float64]:
        tables = [values[slot.index].ravel() for slot in self.slots]
        total = np.zeros(len(codes), dtype=np.float64)
        for start in range(0, len(codes), CHUNK):
            rows = slice(start, start + CHUNK)
            columns = np.ascontiguousarray(codes[rows].T, dtype=np.intp)
            known: dict[tuple[int, ...], NDArray[np.intp]] = {}
            for slot, table in zip(self.slots, tables, strict=True):
                found = table[_flat_index(columns, slot, known)]
                combine(total[rows], found, out=total[rows])
        return total


def build_index(genes: Sequence[Gene], slots: Iterable[OpenSlot]) -> PartIndex:
    """Tabulate each slot over the choices of the genes that decide it."""
    place = {gene.name: i for i, gene in enumerate(genes)}
    parts: dict[Part | None, int] = {None: 0}
    built = []
    for slot in slots:
        own = tuple(place[name] for name in slot.genes)
        choices = {name: genes[place[name]].choices for name in slot.genes}
        depths = choices.pop(slot.depth[0]) if slot.depth else ()
        index = np.array(
            [parts.setdefault(slot.part(*v), len(parts)) for v in product(*choices.values())],
            dtype=np.int32,
        ).reshape([len(c) for c in choices.values()])
        if slot.depth is not None:
            index = _at_depths(index, slot.genes.index(slot.depth[0]), depths, slot.depth[1])
        built.append(Slot(slot.name, own, index))
    return PartIndex(tuple(built), tuple(parts))


def _at_depths(
    index: NDArray[np.int32], axis: int, depths: tuple[int, ...], block: int
) -> NDArray[np.int32]:
    """The index with a further axis for the depth: 0 at depths without the block."""
    there = np.array([depth > block for depth in depths], dtype=np.int32)
    shape = [1] * (index.ndim + 1)
    shape[axis] = len(depths)
    return np.expand_dims(index, axis) * there.reshape(shape)


def _flat_index(
    columns: NDArray[np.intp], slot: Slot, known: dict[tuple[int, ...], NDArray[np.intp]]
) -> NDArray[np.intp]:
    """Position in the flattened table; slots that begin with the same genes share the work."""
    flat = known.get(slot.genes)
    if flat is None:
        flat = columns[slot.genes[0]]
        for depth in range(2, len(slot.genes) + 1):
            prefix = slot.genes[:depth]
            if prefix not in known:
                known[prefix] = flat * slot.index.shape[depth - 1] + columns[prefix[-1]]
            flat = known[prefix]
    return flat
