"""From the kernels of a trace to what a runtime launches on a GPU.

    eager       every kernel as it is
    compile     element-wise work, copies, norms and reductions between two products run as one
                kernel where they run over the same elements (TorchInductor)
    engine      also: attention in one kernel, what follows from weights alone done beforehand,
                and element-wise work after a product or convolution in the kernel that made it
                (TensorRT)
    handwritten as an engine, but products are a library's, which end with nothing, and attention
                is one kernel up to 512 tokens (FasterTransformer)

A launch has a class, which decides how efficient it is, and the sizes from which time follows.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.latency.tracing.trace import Buffer, Kernel, Kind, Layout, Product

Fusion = Literal["none", "compile", "engine", "handwritten"]
_LIBRARY = ("product", "convolution", "grouped", "depthwise", "attention", "fft")
"""Kinds of kernels that libraries run and that compilers leave alone."""
_REDUCING = ("normalisation", "softmax", "reduction")
_FEW_CHANNELS = 4
_NODES_PER_CONVOLUTION, _SMALL = 300, 64
_LONGEST_HANDWRITTEN = 512
"""Tokens up to which FasterTransformer has attention kernels."""
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
    """One kernel on the device; `area` is of a convolution's window."""

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


def launches_of(kernels: Sequence[Kernel], fusion: Fusion) -> list[Launch]:
    """What a runtime launches for a traced network, in no particular order."""
    made = [kernel for kernel in kernels if kernel.reads]  # constants are made beforehand
    if fusion == "none":
        return [_alone(kernel) for kernel in made]
    if fusion == "compile":
        return _fuse(made, "fused", epilogues=False)
    longest = math.inf if fusion == "engine" else _LONGEST_HANDWRITTEN
    made = _with_whole_attention(_without_constants(made), longest)
    return _fuse(made, "engine", epilogues=fusion == "engine")


def compiled_layout(kernels: Sequence[Kernel]) -> Layout:
    """The memory layout TorchInductor gives a network that it gets in channels-first memory.

    Its own rule (torch/_inductor/graph.py, `decide_layout_opt`): channels last, unless there are
    few convolutions, all of them are small, or one is grouped or narrows by half.
    """
    weights = [
        (kernel.input_shapes[1], kernel.product)
        for kernel in kernels
        if kernel.kind in ("convolution", "grouped", "depthwise")
    ]
    if not weights or len(kernels) >= _NODES_PER_CONVOLUTION * len(weights):
        return "channels_first"
    grouped = any(product and product.groups > 1 and shape[1] > 1 for shape, product in weights)
    narrows = any(2 * out <= inner and max(rest) > 1 for (out, inner, *rest), _ in weights)
    small = all(out <= _SMALL and inner <= _SMALL for (out, inner, *_), _ in weights)
    return "channels_first" if grouped or narrows or small else "channels_last"


def kind_of(kernel: Kernel) -> str:
    """The class of a kernel that runs alone."""
    op = kernel.op.removeprefix("aten.")
    layout = "_nhwc" if kernel.channels_last else ""
    if kernel.kind == "convolution":
        weight = kernel.input_shapes[1]
        if weight[1] <= _FEW_CHANNELS:
            return f"stem{layout}"
        return ("pointwise" if math.prod(weight[2:]) == 1 else "convolution") + layout
    if kernel.kind in ("grouped", "depthwise"):
        return kernel.kind + layout
    if kernel.kind == "product":
        return "product" if kernel.product and kernel.product.groups == 1 else "batched_product"
    if kernel.kind == "attention":
        return "attention" if len(kernel.reads) <= 3 else "masked_attention"
    if kernel.kind == "normalisation":
        if "batch_norm" in op:
            return f"batch_norm{layout}"
        return f"group_norm{layout}" if "group" in op else "layer_norm"
    if kernel.kind == "reduction":
        pool = "max_pool" if "max_pool" in op else "pool" if "pool" in op else "reduction"
        return pool + layout
    if kernel.kind == "elementwise":
        return "elementwise" + ("_strided" if kernel.strided else layout)
    if kernel.kind in ("softmax", "fft"):
        return kernel.kind
    return _copy_kind(op, kernel.strided, layout)


def _copy_kind(op: str, strided: bool, layout: str) -> str:
    if op in ("_to_copy", "clone", "copy_", "copy", "contiguous"):
        return ("cast" if op == "_to_copy" else "copy") + ("_strided" if strided else "")
    if op in ("cat", "stack"):
        return "concatenation"
    return f"upsample{layout}" if "upsample" in op else "gather"


def _alone(kernel: Kernel) -> Launch:
    product = kernel.product or _NONE
    windowed = kernel.kind in ("convolution", "grouped", "depthwise")
    area = math.prod(kernel.input_shapes[1][2:]) if windowed else 0
    return Launch(
        kind_of(kernel),
        kernel.flops,
        kernel.bytes_read,
        kernel.bytes_written,
        *product,
        area,
    )


class _Value(NamedTuple):
    """The contents of a buffer between two writes to it."""

    buffer: int
    version: int


@dataclass
class _Group:
    """What runs as one kernel, or one kernel of a library."""

    level: int
    elements: int
    kernel: Kernel | None = None
    size: int = 0
    reduced: int = 0
    """Elements of what it reduces to, where it does."""
    reads: dict[_Value, int] = field(default_factory=dict)
    writes: dict[_Value, int] = field(default_factory=dict)
    reduces: bool = False
    strided: bool = False
    weights_only: bool = True


def _fuse(kernels: Sequence[Kernel], name: str, *, epilogues: bool) -> list[Launch]:
    """Group kernels, then say what each group reads and writes.

    The level of a value is how many library kernels lie before it at most. Only groups of one
    level grow, so that no group needs what a later kernel makes of its own result.
    """
    groups: list[_Group] = []
    home: dict[_Value, int] = {}
    users: dict[_Value, set[int]] = defaultdict(set)
    version: dict[int, int] = {}
    for kernel in kernels:
        values = [_Value(b.id, version.get(b.id, 0)) for b in kernel.reads]
        makers = [home[v] for v in values if v in home]
        level = max((groups[i].level for i in makers), default=0)
        shapes = (*kernel.input_shapes, *kernel.output_shapes)
        elements = max((math.prod(shape) for shape in shapes), default=1)
        if kernel.kind in _LIBRARY:
            here = len(groups)
            groups.append(_Group(level + 1, elements, kernel))
        else:
            here = _room(groups, makers, level, elements, kernel.kind)
        group = groups[here]
        group.size += 1
        if kernel.kind in _REDUCING and "batch_norm" not in kernel.op:
            group.reduces = True
            group.reduced = math.prod(kernel.output_shapes[0])
        group.strided |= kernel.strided
        for value, size, buffer in zip(values, kernel.input_bytes, kernel.reads, strict=True):
            users[value].add(here)
            if home.get(value) != here:
                group.reads[value] = max(group.reads.get(value, 0), size)
                group.weights_only &= buffer.role in ("weight", "constant")
        for buffer, size in zip(kernel.writes, kernel.output_bytes, strict=True):
            version[buffer.id] = version.get(buffer.id, -1) + 1
            value = _Value(buffer.id, version[buffer.id])
            home[value] = here
            group.writes[value] = size
    return _launches(groups, home, users, name, epilogues)


def _room(groups: list[_Group], makers: list[int], level: int, elements: int, kind: Kind) -> int:
    """The group that a kernel joins: the latest that feeds it, of its level and its elements.

    What a reduction leaves is worked on by the kernel that reduced it.
    """
    for i in reversed(makers):
        group = groups[i]
        same = elements == group.elements or (
            kind == "elementwise" and group.reduces and elements == group.reduced
        )
        if group.kernel is None and group.level == level and same:
            return i
    groups.append(_Group(level, elements))
    return len(groups) - 1


def _launches(
    groups: list[_Group],
    home: dict[_Value, int],
    users: dict[_Value, set[int]],
    name: str,
    epilogues: bool,
) -> list[Launch]:
    alone = {i: _alone(g.kernel) for i, g in enumerate(groups) if g.kernel is not None}
    fused = []
    for i, group in enumerate(groups):
        if group.kernel is not None:
            continue
        read, written = sum(group.reads.values()), _written(i, group, users)
        maker = _absorbing(i, group, groups, home, users) if epilogues else None
        if maker is not None:
            value, j = maker
            more = alone[j].bytes_read + read - group.reads[value]
            alone[j] = alone[j]._replace(bytes_read=more, bytes_written=written)
        else:
            fused.append(Launch(f"{name}_{_group_kind(group)}", 0, read, written))
    return [*alone.values(), *fused]


def _written(i: int, group: _Group, users: dict[_Value, set[int]]) -> int:
    """Bytes of what others read; of the last result where nobody does."""
    outside = sum(size for value, size in group.writes.items() if users[value] - {i})
    return outside or next(reversed(group.writes.values()), 0)


def _absorbing(
    i: int,
    group: _Group,
    groups: list[_Group],
    home: dict[_Value, int],
    users: dict[_Value, set[int]],
) -> tuple[_Value, int] | None:
    """The library kernel whose result only this group reads, so that it can end with it."""
    if group.reduces:
        return None
    for value in group.reads:
        maker = home.get(value)
        if maker is not None and groups[maker].kernel is not None and users[value] == {i}:
            return value, maker
    return None


def _group_kind(group: _Group) -> str:
    if group.size == 1 and group.weights_only:
        return "weights"
    if group.reduces:
        return "reduction"
    return "strided" if group.strided else "elementwise"


def _without_constants(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Without what follows from weights alone, which an engine computes once, beforehand."""
    constant: set[int] = set()
    found = []
    for kernel in kernels:
        known = (b.role in ("weight", "constant") or b.id in constant for b in kernel.reads)
        if all(known):
            constant.update(buffer.id for buffer in kernel.writes)
        else:
            constant.difference_update(buffer.id for buffer in kernel.writes)
            found.append(kernel)
    return found


def _with_whole_attention(kernels: Sequence[Kernel], longest: float) -> list[Kernel]:
    """Two batched products with a softmax between them become one attention.

    Args:
        kernels: Of a trace.
        longest: The most tokens that an attention kernel takes.
    """
    found: list[Kernel] = []
    i = 0
    while i < len(kernels):
        end = _attention_end(kernels, i, longest)
        if end is None:
            found.append(kernels[i])
            i += 1
        else:
            found.append(_attention(kernels[i : end + 1]))
            i = end + 1
    return found


def _attention_end(
    kernels: Sequence[Kernel], begin: int, longest: float, reach: int = 14
) -> int | None:
    first = kernels[begin]
    if first.kind != "product" or first.product is None or first.product.groups == 1:
        return None
    if first.product.n > longest:
        return None
    softmax = False
    for i in range(begin + 1, min(begin + reach, len(kernels))):
        kernel = kernels[i]
        softmax |= kernel.kind == "softmax"
        if kernel.kind == "product" and kernel.product is not None:
            second = kernel.product
            fits = second.groups == first.product.groups and second.k == first.product.n
            return i if softmax and fits else None
        if kernel.kind in _LIBRARY:
            return None
    return None


def _attention(kernels: Sequence[Kernel]) -> Kernel:
    first, second = kernels[0], kernels[-1]
    assert first.product is not None and second.product is not None
    made = {buffer.id for kernel in kernels[:-1] for buffer in kernel.writes}
    more: list[tuple[Buffer, int, tuple[int, ...]]] = [
        (buffer, size, shape)
        for kernel in kernels[1:]
        for buffer, size, shape in zip(
            kernel.reads, kernel.input_bytes, kernel.input_shapes, strict=True
        )
        if buffer.id not in made
    ]
    return replace(
        second,
        op="scaled_dot_product_attention",
        kind="attention",
        product=first.product,
        flops=first.flops + second.flops,
        input_shapes=(*first.input_shapes, *(shape for _, _, shape in more)),
        input_bytes=(*first.input_bytes, *(size for _, size, _ in more)),
        reads=(*first.reads, *(buffer for buffer, _, _ in more)),
    )
