"""What runs on a GPU for a network: launches, each with a class and sizes.

A launch is one run of one program on the device. Its class decides how efficient it is; its time
follows from its sizes (`formula.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.latency.tracing.operations import Operation, Product

_FEW_CHANNELS = 4
"""Up to which a convolution counts as a network's first one, the stem."""
_NONE = Product(0, 0, 0, 0)

_BOTH_LAYOUTS = (
    *("stem", "pointwise", "convolution", "grouped", "depthwise", "batch_norm", "group_norm"),
    *("max_pool", "pool", "reduction", "elementwise", "upsample"),
)
_FUSED = ("weights", "reduction", "strided", "elementwise")
LAUNCH_KINDS: tuple[str, ...] = (
    *(f"{kind}{layout}" for kind in _BOTH_LAYOUTS for layout in ("", "_nhwc")),
    *("product", "batched_product", "attention", "masked_attention", "layer_norm", "softmax"),
    *("elementwise_strided", "cast", "cast_strided", "copy", "copy_strided", "concatenation"),
    *("gather", "fft"),
    *(f"{maker}_{kind}" for maker in ("fused", "engine") for kind in _FUSED),
)
"""Every class of launch that there is."""


class Launch(NamedTuple):
    """One launch; `area` is the area of a convolution's window."""

    kind: str
    flops: float
    bytes_read: float
    bytes_written: float
    groups: float = 0
    m: float = 0
    n: float = 0
    k: float = 0
    area: float = 0


@dataclass(frozen=True)
class Launches:
    """What a network launches: distinct launches and how often each happens."""

    kinds: tuple[str, ...]
    sizes: NDArray[np.float64]
    """FLOPs, bytes read and written, groups, m, n, k and window area, (n, 8)."""
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, launches: Sequence[Launch]) -> Launches:
        """Equal launches are kept once."""
        counted = Counter(launches)
        return cls(
            tuple(launch.kind for launch in counted),
            np.array([launch[1:] for launch in counted], dtype=np.float64).reshape(-1, 8),
            np.array(list(counted.values()), dtype=np.float64),
        )


def rows_of(launches: Sequence[Launch]) -> NDArray[np.float64]:
    """One row per launch: the position of its kind in LAUNCH_KINDS, then its sizes, (n, 9)."""
    rows = [(LAUNCH_KINDS.index(kind), *sizes) for kind, *sizes in launches]
    return np.array(rows, dtype=np.float64).reshape(-1, 9)


def kind_of(operation: Operation) -> str:
    """The class of an operation that runs alone; an unknown one counts as a gather."""
    op = operation.op.removeprefix("aten.")
    layout = "_nhwc" if operation.channels_last else ""
    if operation.kind == "convolution":
        weight = operation.input_shapes[1]
        if weight[1] <= _FEW_CHANNELS:
            return f"stem{layout}"
        return ("pointwise" if math.prod(weight[2:]) == 1 else "convolution") + layout
    if operation.kind in ("grouped", "depthwise"):
        return operation.kind + layout
    if operation.kind == "product":
        return (
            "product" if operation.product and operation.product.groups == 1 else "batched_product"
        )
    if operation.kind == "attention":
        return "attention" if len(operation.reads) <= 3 else "masked_attention"
    if operation.kind == "normalisation":
        if "batch_norm" in op:
            return f"batch_norm{layout}"
        return f"group_norm{layout}" if "group" in op else "layer_norm"
    if operation.kind == "reduction":
        pool = "max_pool" if "max_pool" in op else "pool" if "pool" in op else "reduction"
        return pool + layout
    if operation.kind == "elementwise":
        return "elementwise" + ("_strided" if operation.strided else layout)
    if operation.kind in ("softmax", "fft"):
        return operation.kind
    return _copy_kind(op, operation.strided, layout)


def _copy_kind(op: str, strided: bool, layout: str) -> str:
    if op in ("_to_copy", "clone", "copy_", "copy", "contiguous"):
        return ("cast" if op == "_to_copy" else "copy") + ("_strided" if strided else "")
    if op in ("cat", "stack"):
        return "concatenation"
    return f"upsample{layout}" if "upsample" in op else "gather"


def alone(operation: Operation) -> Launch:
    """An operation that nothing else is fused with."""
    product = operation.product or _NONE
    windowed = operation.kind in ("convolution", "grouped", "depthwise")
    area = math.prod(operation.input_shapes[1][2:]) if windowed else 0
    return Launch(
        kind_of(operation),
        operation.flops,
        operation.bytes_read,
        operation.bytes_written,
        *product,
        area,
    )
