"""NAS-Bench-201 and the FBNet space: tables of measured latencies, and their networks.

    table = read(Path(DIR), "nasbench201")        # or "fbnet"
    table.latency["titanx_1"]                     # milliseconds, (networks,)
    traced(table, batch_size=1)                   # launches and device time, (networks, terms)

Both spaces are chains of parts, so that a network's terms are the sum over its parts, each traced
once as a plain module. Every edge of a NAS-Bench-201 cell runs; "none" is a product with zero.

Papers: NAS-Bench-201, Dong & Yang 2020, https://arxiv.org/abs/2001.00326; FBNet, Wu et al. 2019,
https://arxiv.org/abs/1812.03443; on CIFAR: HW-NAS-Bench, Li et al. 2021,
https://arxiv.org/abs/2103.10584; latencies: HELP, Lee et al. 2021,
https://arxiv.org/abs/2106.08630
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.latency.tracing.operations import Operation
from nas.latency.tracing.trace import trace

Floats = NDArray[np.float64]
FILES = {"nasbench201": "nb201_hw.csv.gz", "fbnet": "fbnet_latency.csv.gz"}
GENERATIONS = {
    "1080ti": "Pascal",
    "titanx": "Pascal",
    "titanxp": "Pascal",
    "2080ti": "Turing",
    "titan_rtx": "Turing",
}
NOT_MEASURED = ("eyeriss", "fpga", "pixel3", "raspi4")
"""Simulated, or sums of an operator table (HW-NAS-Bench)."""

EDGES, EDGE_OPS = 6, 5  # none, skip, conv 1x1, conv 3x3, average pool 3x3
SKIP = 8  # of FBNet's nine blocks
BLOCKS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1))
"""Kernel, expansion, groups of FBNet's first eight."""
STAGES = ((1, 16, 1), (4, 24, 1), (4, 32, 2), (4, 64, 2), (4, 112, 1), (4, 184, 2), (1, 352, 1))
"""Layers, channels, first stride of FBNet on 32 px images."""

LAUNCH_MS = 0.03
"""Host time of one eager launch; this and the next two are round figures, not fitted."""
FLOPS_PER_MS = 5e9
BYTES_PER_MS = 3e8


@dataclass(frozen=True)
class Table:
    """A space: its networks' operations, (networks, places), and their latency in ms by column."""

    space: str
    ops: NDArray[np.int64]
    latency: dict[str, Floats]


def read(folder: Path, space: str) -> Table:
    """A table from a folder that holds the files of `FILES`."""
    with gzip.open(folder / FILES[space], "rt") as file:
        rows = csv.reader(file)
        names = next(rows)
        values = np.array([[float(cell or "nan") for cell in row] for row in rows])
    prefix = "op_" if space == "nasbench201" else "b"
    places = [i for i, name in enumerate(names) if name.startswith(prefix)]
    latency = {n.removeprefix("lat_"): values[:, i] for i, n in enumerate(names) if "lat_" in n}
    return Table(space, values[:, places].astype(np.int64), latency)


def device(column: str) -> str:
    """The device of a column, its batch size left off."""
    name, _, batch = column.rpartition("_")
    return name if batch in ("1", "32", "64", "256") else column


def batch_size(column: str) -> int:
    """The batch size of a column; 1 if it has none."""
    return 1 if device(column) == column else int(column.rpartition("_")[2])


def kind(column: str) -> str:
    """`gpu`, `other` (processors, phones), or `not measured`."""
    if device(column) in NOT_MEASURED:
        return "not measured"
    return "gpu" if device(column) in GENERATIONS else "other"


def operations(table: Table) -> Floats:
    """The operations at each place; latency is a sum of them with positive coefficients.

    NAS-Bench-201: the share of each operation among the six edges (a coefficient is then the
    latency of a network of that operation alone). FBNet: 1, and at each of 22 places which of
    the eight blocks that are not "skip".
    """
    if table.space == "nasbench201":
        return _counts(table.ops, EDGE_OPS) / EDGES
    blocks = (table.ops[:, :, None] == np.arange(SKIP)).reshape(len(table.ops), -1)
    return np.concatenate([np.ones((len(blocks), 1)), blocks.astype(np.float64)], axis=1)


def counts(table: Table) -> dict[str, Floats]:
    """1 and the numbers of each operation, for ordinary least squares: overall, and per stage."""
    one = np.ones((len(table.ops), 1))
    kinds = EDGE_OPS if table.space == "nasbench201" else SKIP + 1
    result = {"counts": np.concatenate([one, _counts(table.ops, kinds)], axis=1)}
    if table.space == "fbnet":
        stages = np.split(table.ops, np.cumsum([layers for layers, _, _ in STAGES])[:-1], axis=1)
        per_stage = [_counts(stage, kinds) for stage in stages]
        result["counts per stage"] = np.concatenate([one, *per_stage], axis=1)
    return result


def traced(table: Table, batch_size: int) -> Floats:
    """Terms of each network in ms on a made-up card: (networks, terms), none negative.

    1 ms; host time of the launches of products, of norms, of the rest; and by class of operation
    the device time: all of it, and its excess over a quarter and over all of the host time.
    """
    fixed, places = (_nasbench201 if table.space == "nasbench201" else _fbnet)(batch_size)
    total = np.tile(_part_terms(fixed), (len(table.ops), 1))
    for ops, parts in zip(table.ops.T, places, strict=True):
        total += np.stack([_part_terms(part) for part in parts])[ops]
    return np.concatenate([np.ones((len(total), 1)), total[:, total.max(axis=0) > 0]], axis=1)


def _counts(ops: NDArray[np.int64], kinds: int) -> Floats:
    return np.stack([(ops == k).sum(axis=1) for k in range(kinds)], axis=1).astype(np.float64)


_HOST = ("product", "norm", "rest")
_CLASSES = ("dense", "grouped", "depthwise", "pool", "rest")
_HOST_SHARES = (0.0, 0.25, 1.0)


def _part_terms(operations: Sequence[Operation]) -> Floats:
    host = np.zeros(len(_HOST))
    beyond = np.zeros((len(_HOST_SHARES), len(_CLASSES)))
    for operation in operations:
        moved = operation.bytes_read + operation.bytes_written
        ms = max(operation.flops / FLOPS_PER_MS, moved / BYTES_PER_MS)
        host[_HOST.index(_host_class(operation))] += LAUNCH_MS
        for row, share in zip(beyond, _HOST_SHARES, strict=True):
            row[_CLASSES.index(_device_class(operation))] += max(0.0, ms - share * LAUNCH_MS)
    return np.concatenate(
        [[1.0 if any(one.op == "aten.addmm" for one in operations) else 0.0], host, *beyond]
    )


def _host_class(operation: Operation) -> str:
    if operation.product is not None:
        return "product"
    return "norm" if operation.kind == "normalisation" else "rest"


def _device_class(operation: Operation) -> str:
    if operation.kind in ("product", "convolution"):
        return "dense"
    if operation.kind in ("grouped", "depthwise"):
        return operation.kind
    return "pool" if "pool" in operation.op else "rest"


def _traced(module: nn.Module, images: int, channels: int, side: int) -> list[Operation]:
    return trace(module, (images, channels, side, side), layout="channels_first")


def _nasbench201(images: int) -> tuple[list[Operation], list[list[list[Operation]]]]:
    """Operations of every network; and per edge, those that each choice adds in all 15 cells."""
    fixed = _traced(nn.Sequential(_conv(3, 16, 3), nn.BatchNorm2d(16)), images, 3, 32)
    edge: list[list[Operation]] = [[] for _ in range(EDGE_OPS)]
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        if channels > 16:
            fixed += _traced(_Reduction(channels // 2, channels), images, channels // 2, 2 * side)
        # Each of a cell's three nodes is Python's `sum` of its one to three edges, from 0.
        fixed += _traced(_Add(), images, channels, side) * 6 * 5
        ops: list[nn.Module | None] = [
            _Zero(),
            None,
            _relu_conv_norm(channels, channels, 1),
            _relu_conv_norm(channels, channels, 3),
            nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        ]
        for traced_ops, op in zip(edge, ops, strict=True):
            traced_ops += _traced(op, images, channels, side) * 5 if op is not None else []
    head = nn.Sequential(
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    return fixed + _traced(head, images, 64, 8), [edge] * EDGES


def _fbnet(images: int) -> tuple[list[Operation], list[list[list[Operation]]]]:
    """Operations of every network; and per place, those of each block."""
    fixed = _traced(nn.Sequential(*_conv_norm_relu(3, 16, 3)), images, 3, 32)
    places = []
    channels, side = 16, 32
    for layers, out, first_stride in STAGES:
        for layer in range(layers):
            stride = first_stride if layer == 0 else 1
            blocks = [_Block(channels, out, stride, *options) for options in BLOCKS]
            parts = [_traced(block, images, channels, side) for block in blocks]
            if stride == 1 and channels == out:
                parts.append([])
            else:
                skip = nn.Sequential(*_conv_norm_relu(channels, out, 1, stride))
                parts.append(_traced(skip, images, channels, side))
            places.append(parts)
            channels, side = out, side // stride
    head = nn.Sequential(
        *_conv_norm_relu(channels, 1504, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1504, 100),
    )
    return fixed + _traced(head, images, channels, side), places


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def _conv_norm_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = _conv(inputs, outputs, kernel, stride, groups)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _relu_conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = _conv(inputs, outputs, kernel, stride)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class _Add(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x


class _Reduction(nn.Module):
    """NAS-Bench-201's residual block between stages."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first = _relu_conv_norm(inputs, outputs, 3, stride=2)
        self.body = nn.Sequential(first, _relu_conv_norm(outputs, outputs, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), _conv(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)


class _Shuffle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (2, -1)).transpose(1, 2).contiguous().flatten(1, 2)


class _Block(nn.Module):
    """FBNet's inverted residual."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, kernel: int, expansion: int, groups: int
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential(
            *_conv_norm_relu(inputs, hidden, 1, groups=groups),
            *([_Shuffle()] if groups > 1 else []),
            *_conv_norm_relu(hidden, hidden, kernel, stride, groups=hidden),
            *_conv_norm_relu(hidden, outputs, 1, groups=groups)[:2],
        )
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return y + x if self.residual else y
