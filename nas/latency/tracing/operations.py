"""What a trace consists of: operations, and the memory that they read and write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from nas.latency.tracing.shapes import Shape

Kind = Literal[
    "product",
    "convolution",
    "grouped",
    "depthwise",
    "attention",
    "fft",
    "normalisation",
    "softmax",
    "reduction",
    "elementwise",
    "copy",
    "unknown",
]
"""What kind of work an operation is. `unknown` is what `overloads.py` does not list."""
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "unknown")
"""The known kinds."""

Precision = Literal["fp32", "tf32", "amp", "fp16", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Layout = Literal["channels_last", "channels_first"]
_CASTS = "float16", "float32"


class Product(NamedTuple):
    """`groups` products of (m, k) by (k, n); a convolution's m counts images and positions."""

    groups: int
    m: int
    n: int
    k: int


class Buffer(NamedTuple):
    """A piece of memory; its role decides whether it counts as an activation."""

    id: int
    bytes: int
    role: Literal["input", "weight", "constant", "activation"]
    dtype: str


@dataclass(frozen=True)
class Operation:
    """One operation that runs on the device; each tensor's bytes count once."""

    op: str
    kind: Kind
    dtype: str
    """Of its first operand: float32, float16, ..."""
    channels_last: bool
    """Whether its first operand is a map in channels-last memory."""
    strided: bool
    """Whether an operand lies in another order in memory than the result."""
    product: Product | None
    """The matrix product that a product, a convolution or attention amounts to."""
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    flops: int
    input_bytes: tuple[int, ...]
    output_bytes: tuple[int, ...]
    reads: tuple[Buffer, ...]
    """The whole buffers that the operands lie in; they tell what has to be kept until when."""
    writes: tuple[Buffer, ...]

    @property
    def bytes_read(self) -> int:
        """Of all operands."""
        return sum(self.input_bytes)

    @property
    def bytes_written(self) -> int:
        """Of all results."""
        return sum(self.output_bytes)


def macs(operations: Iterable[Operation]) -> int:
    """Multiply-accumulates of products, convolutions and attention: half of torch's FLOPs."""
    return sum(operation.flops for operation in operations if operation.kind != "fft") // 2


def unknown(operations: Iterable[Operation]) -> tuple[str, ...]:
    """Names of the functions among them that the tracer does not know, in alphabetical order."""
    return tuple(sorted({each.op for each in operations if each.kind == "unknown"}))


def peak_activation_bytes(operations: Sequence[Operation]) -> int:
    """The greatest sum of activations alive at once, inputs included, weights not.

    A buffer lives from the operation that writes it (an input: from the start) to the last one
    that reads it. A result, which nothing reads, lives only while it is written.
    """
    steps = [(each.reads, each.writes) for each in operations]
    return _peak([[(b, b.bytes) for b in (*reads, *writes)] for reads, writes in steps])


def peak_in_single_precision(operations: Sequence[Operation]) -> int:
    """The same for the module in single precision, from its trace in half precision.

    In single precision every half becomes twice as large, and what was cast between the two is
    the same memory.
    """
    origin: dict[int, Buffer] = {}
    steps = []
    for each in operations:
        reads = [origin.get(b.id, b) for b in each.reads]
        if _is_cast(each):
            origin[each.writes[0].id] = reads[0]
        else:
            steps.append(
                [(b, b.bytes * (1 + (b.dtype == "float16"))) for b in (*reads, *each.writes)]
            )
    return _peak(steps)


def _is_cast(operation: Operation) -> bool:
    return operation.op == "aten._to_copy" and {operation.dtype, operation.writes[0].dtype} == set(
        _CASTS
    )


def _peak(steps: Sequence[Sequence[tuple[Buffer, int]]]) -> int:
    """The greatest sum of sizes alive at once, from what each step touches."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    size: dict[int, int] = {}
    for i, touched in enumerate(steps):
        for buffer, count in touched:
            if buffer.role in ("input", "activation"):
                first.setdefault(buffer.id, 0 if buffer.role == "input" else i)
                last[buffer.id], size[buffer.id] = i, count
    change = [0] * (len(steps) + 1)
    for key, start in first.items():
        change[start] += size[key]
        change[last[key] + 1] -= size[key]
    alive = peak = 0
    for difference in change:
        alive += difference
        peak = max(peak, alive)
    return peak
