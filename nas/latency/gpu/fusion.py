"""From the operations of a trace to what a runtime launches on a GPU.

eager       every operation is a launch
compile     element-wise work, copies, norms and reductions between two products are one
            launch where they run over the same elements (TorchInductor)
engine      also: attention is one launch, what follows from weights alone is computed
            beforehand, and element-wise work after a product or convolution is done by the
            launch that made it (TensorRT)
handwritten as an engine, but products are a library's, which take in no later work, and
            attention is one launch up to 512 tokens (FasterTransformer)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from nas.latency.gpu.launches import Launch, alone
from nas.latency.tracing.operations import Buffer, Kind, Layout, Operation

Fusion = Literal["none", "compile", "engine", "handwritten"]
_LIBRARY = ("product", "convolution", "grouped", "depthwise", "attention", "fft")
"""Kinds of operations that libraries run and that compilers leave alone."""
_REDUCING = ("normalisation", "softmax", "reduction")
_NODES_PER_CONVOLUTION, _SMALL = 300, 64
_LONGEST_HANDWRITTEN = 512
"""Tokens up to which FasterTransformer runs attention as one launch."""


def launches_of(operations: Sequence[Operation], fusion: Fusion) -> list[Launch]:
    """What a runtime launches for a traced network; with fusion not in the order of the trace."""
    made = [each for each in operations if each.reads]  # constants are made beforehand
    if fusion == "none":
        return [alone(each) for each in made]
    if fusion == "compile":
        return _fuse(made, "fused", epilogues=False)
    longest = math.inf if fusion == "engine" else _LONGEST_HANDWRITTEN
    made = _with_fused_attention(_without_constants(made), longest)
    return _fuse(made, "engine", epilogues=fusion == "engine")


def compiled_layout(operations: Sequence[Operation]) -> Layout:
    """The memory layout that TorchInductor chooses for a network in channels-first memory.

    Its rule (torch/_inductor/graph.py, `decide_layout_opt`): channels last, unless there are few
    convolutions, all of them are small, or one is grouped or halves the number of channels.
    """
    weights = [
        (operation.input_shapes[1], operation.product)
        for operation in operations
        if operation.kind in ("convolution", "grouped", "depthwise")
    ]
    if not weights or len(operations) >= _NODES_PER_CONVOLUTION * len(weights):
        return "channels_first"
    grouped = any(product and product.groups > 1 and shape[1] > 1 for shape, product in weights)
    narrows = any(2 * out <= inner and max(rest) > 1 for (out, inner, *rest), _ in weights)
    small = all(out <= _SMALL and inner <= _SMALL for (out, inner, *_), _ in weights)
    return "channels_first" if grouped or narrows or small else "channels_last"


def relaid(operations: Sequence[Operation], layout: Layout) -> bool:
    """Whether TorchInductor changes a network's maps to channels last."""
    return layout == "channels_first" and compiled_layout(operations) == "channels_last"


class _Value(NamedTuple):
    """The contents of a buffer between two writes to it."""

    buffer: int
    version: int


@dataclass
class _Group:
    """Operations that become one launch, or one operation of a library."""

    level: int
    elements: int
    operation: Operation | None = None
    size: int = 0
    reduced: int = 0
    """Elements of its result, where it reduces."""
    reads: dict[_Value, int] = field(default_factory=dict)
    writes: dict[_Value, int] = field(default_factory=dict)
    reduces: bool = False
    strided: bool = False
    weights_only: bool = True


def _fuse(operations: Sequence[Operation], name: str, *, epilogues: bool) -> list[Launch]:
    """Group operations, then say what each group reads and writes.

    The level of a value is the greatest number of library operations on a way to it. An operation
    joins only groups of its own level, so that no group waits for what is made of its own result.
    """
    groups: list[_Group] = []
    home: dict[_Value, int] = {}
    users: dict[_Value, set[int]] = defaultdict(set)
    version: dict[int, int] = {}
    for operation in operations:
        values = [_Value(b.id, version.get(b.id, 0)) for b in operation.reads]
        makers = [home[v] for v in values if v in home]
        level = max((groups[i].level for i in makers), default=0)
        shapes = (*operation.input_shapes, *operation.output_shapes)
        elements = max((math.prod(shape) for shape in shapes), default=1)
        if operation.kind in _LIBRARY:
            here = len(groups)
            groups.append(_Group(level + 1, elements, operation))
        else:
            here = _room(groups, makers, level, elements, operation.kind)
        group = groups[here]
        group.size += 1
        if operation.kind in _REDUCING and "batch_norm" not in operation.op:
            group.reduces = True
            group.reduced = math.prod(operation.output_shapes[0])
        group.strided |= operation.strided
        for value, size, buffer in zip(
            values, operation.input_bytes, operation.reads, strict=True
        ):
            users[value].add(here)
            if home.get(value) != here:
                group.reads[value] = max(group.reads.get(value, 0), size)
                group.weights_only &= buffer.role in ("weight", "constant")
        for buffer, size in zip(operation.writes, operation.output_bytes, strict=True):
            version[buffer.id] = version.get(buffer.id, -1) + 1
            value = _Value(buffer.id, version[buffer.id])
            home[value] = here
            group.writes[value] = size
    return _launches(groups, home, users, name, epilogues)


def _room(groups: list[_Group], makers: list[int], level: int, elements: int, kind: Kind) -> int:
    """The group that an operation joins: the latest one that feeds it and has its level and size.

    Element-wise work on the result of a reduction joins the group of the reduction.
    """
    for i in reversed(makers):
        group = groups[i]
        same = elements == group.elements or (
            kind == "elementwise" and group.reduces and elements == group.reduced
        )
        if group.operation is None and group.level == level and same:
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
    libraries = {i: alone(g.operation) for i, g in enumerate(groups) if g.operation is not None}
    fused = []
    for i, group in enumerate(groups):
        if group.operation is not None:
            continue
        read, written = sum(group.reads.values()), _written(i, group, users)
        maker = _absorbing(i, group, groups, home, users) if epilogues else None
        if maker is not None:
            value, j = maker
            more = libraries[j].bytes_read + read - group.reads[value]
            libraries[j] = libraries[j]._replace(bytes_read=more, bytes_written=written)
        else:
            fused.append(Launch(f"{name}_{_group_kind(group)}", 0, read, written))
    return [*libraries.values(), *fused]


def _written(i: int, group: _Group, users: dict[_Value, set[int]]) -> int:
    """Bytes of the results that others read, or of the last result where nobody reads any."""
    outside = sum(size for value, size in group.writes.items() if users[value] - {i})
    return outside or next(reversed(group.writes.values()), 0)


def _absorbing(
    i: int,
    group: _Group,
    groups: list[_Group],
    home: dict[_Value, int],
    users: dict[_Value, set[int]],
) -> tuple[_Value, int] | None:
    """The library operation that this group can become a part of: nobody else reads its result."""
    if group.reduces:
        return None
    for value in group.reads:
        maker = home.get(value)
        if maker is not None and groups[maker].operation is not None and users[value] == {i}:
            return value, maker
    return None


def _group_kind(group: _Group) -> str:
    if group.size == 1 and group.weights_only:
        return "weights"
    if group.reduces:
        return "reduction"
    return "strided" if group.strided else "elementwise"


def _without_constants(operations: Sequence[Operation]) -> list[Operation]:
    """Leave out what follows from weights alone: an engine computes it once, beforehand."""
    constant: set[int] = set()
    found = []
    for operation in operations:
        known = (b.role in ("weight", "constant") or b.id in constant for b in operation.reads)
        if all(known):
            constant.update(buffer.id for buffer in operation.writes)
        else:
            constant.difference_update(buffer.id for buffer in operation.writes)
            found.append(operation)
    return found


def _with_fused_attention(operations: Sequence[Operation], longest: float) -> list[Operation]:
    """Turn two batched products with a softmax between them into one attention.

    Args:
        longest: The most tokens that one launch takes.
    """
    found: list[Operation] = []
    i = 0
    while i < len(operations):
        end = _attention_end(operations, i, longest)
        if end is None:
            found.append(operations[i])
            i += 1
        else:
            found.append(_attention(operations[i : end + 1]))
            i = end + 1
    return found


_REACH = 14
"""Operations from the first product of attention to the second, at most."""


def _attention_end(operations: Sequence[Operation], begin: int, longest: float) -> int | None:
    first = operations[begin]
    if first.kind != "product" or first.product is None or first.product.groups == 1:
        return None
    if first.product.n > longest:
        return None
    softmax = False
    for i in range(begin + 1, min(begin + _REACH, len(operations))):
        operation = operations[i]
        softmax |= operation.kind == "softmax"
        if operation.kind == "product" and operation.product is not None:
            second = operation.product
            fits = second.groups == first.product.groups and second.k == first.product.n
            return i if softmax and fits else None
        if operation.kind in _LIBRARY:
            return None
    return None


def _attention(operations: Sequence[Operation]) -> Operation:
    first, second = operations[0], operations[-1]
    assert first.product is not None and second.product is not None
    made = {buffer.id for operation in operations[:-1] for buffer in operation.writes}
    more: list[tuple[Buffer, int, tuple[int, ...]]] = [
        (buffer, size, shape)
        for operation in operations[1:]
        for buffer, size, shape in zip(
            operation.reads, operation.input_bytes, operation.input_shapes, strict=True
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
