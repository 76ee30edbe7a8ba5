"""What the parts of a space do, counted: the features from which unmeasured times are estimated.

    features(part) = for each kind of operation: how many, GFLOPs, MiB moved

With times of whole networks, or of some parts, `least_squares.py` finds what each of these takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency.part_work import part_operations
from nas.latency.tracing.operations import KINDS, Operation
from search_spaces.part_index import PartIndex
from search_spaces.space import Codes

Floats = NDArray[np.float64]
ROWS = (*KINDS, "uneven fft")
"""Kinds of operation that cost differently. Fourier transforms whose number of points is not a
power of two are a kind of their own: in onnxruntime 1.31 a spectral gate of 64 channels took
0.55 ms on a 3 x 3 map and 0.17 ms on a 4 x 4 one. Without this kind the mean error of
`whole_networks.py` was 11 % instead of 4 %."""


@dataclass(frozen=True)
class PartFeatures:
    """The features of all parts of a space, for one batch."""

    index: PartIndex
    parts: Floats
    """(parts, f)."""
    mib: Floats
    """Size of each part's weights, (parts,)."""

    @classmethod
    def of(cls, index: PartIndex, images: int) -> PartFeatures:
        """Trace every part for a batch of so many images."""
        traced = [part_operations(part, images) if part else (0, []) for part in index.parts]
        return cls(
            index,
            np.stack([operation_features(operations) for _, operations in traced]),
            np.array([params * 4 / 2**20 for params, _ in traced], dtype=np.float64),
        )

    def networks(self, codes: Codes) -> Floats:
        """1 and the summed features of networks, (n, 1 + f)."""
        sums = self.parts[parts_in(self.index, codes)].sum(axis=1)
        return np.concatenate([np.ones((len(codes), 1)), sums], axis=1)


def parts_in(index: PartIndex, codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Which part stands in each slot of each network, (n, slots); 0 for none."""
    columns = [slot.index[tuple(codes[:, g] for g in slot.genes)] for slot in index.slots]
    return np.stack(columns, axis=1).astype(np.int64)


def operation_features(operations: Sequence[Operation]) -> Floats:
    """Number, GFLOPs and MiB moved for each of ROWS, (3 * rows,)."""
    table = np.zeros((len(ROWS), 3), dtype=np.float64)
    for operation in operations:
        moved = (operation.bytes_read + operation.bytes_written) / 2**20
        row = "uneven fft" if _is_uneven_fft(operation) else operation.kind
        row = "copy" if row == "unknown" else row
        table[ROWS.index(row)] += (1.0, operation.flops / 1e9, moved)
    return table.ravel()


def _is_uneven_fft(operation: Operation) -> bool:
    """Whether the points of a Fourier transform are no power of two, by its 5 n log2 n FLOPs."""
    if operation.kind != "fft":
        return False
    shapes = (*operation.input_shapes, *operation.output_shapes)
    numel = max(math.prod(shape) for shape in shapes)
    doublings = operation.flops * (1 if "c2c" in operation.op else 2) / (5 * numel)
    return abs(doublings - round(doublings)) > 1e-3
