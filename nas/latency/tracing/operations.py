"""Torch's operations as a trace sees them: what each one makes, and what kind of work it is.

They run on meta tensors, which have shapes and no memory. One already seen on equal shapes is only
imitated: a space repeats a few hundred of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from nas.latency.tracing import shapes
from nas.latency.tracing.shapes import Made, is_channels_last

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
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_VIEWS_UNDECLARED = ("_unsafe_view", "unsafe_split", "unsafe_split_with_sizes")
"""Operations whose results share memory with the argument although their schemas deny it."""
_NORMALISATION = ("norm", "rms")
_COPIES = frozenset(
    ("_to_copy", "arange", "cat", "complex", "constant_pad_nd", "copy_", "eye", "flip", "full")
    + ("gather", "im2col", "index", "index_select", "ones", "pixel_shuffle", "pixel_unshuffle")
    + ("reflection_pad2d", "repeat", "replication_pad2d", "roll", "scatter", "stack", "tril")
    + ("triu", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "zeros")
)
"""Operations that only move or make values."""
_REDUCTION = ("mean", "sum", "amax", "amin", "pool", "var", "std", "max", "min", "topk", "sort")


class Product(NamedTuple):
    """`groups` products of (m, k) by (k, n); a convolution's m runs over images and places."""

    groups: int
    m: int
    n: int
    k: int


class Work(NamedTuple):
    """What an operation does to some operands; memory-bound work counts no FLOPs."""

    kind: Kind
    flops: int
    product: Product | None


class Operation(NamedTuple):
    """All that is known of one of torch's operations before it has operands."""

    func: Any
    name: str
    title: str
    kind: Kind
    """Of those without a formula."""
    formula: Callable[..., int] | None
    """Torch's, of FLOPs."""
    launches: bool
    """Whether it does more than look at memory or ask for some."""
    repeatable: bool
    """Whether its results are new and depend on shapes alone."""

    @staticmethod
    @cache
    def of(func: Any) -> Operation:
        """The operation that a `torch._ops.OpOverload` is."""
        name: str = func.overloadpacket.__name__
        view = _is_view(func, name)
        return Operation(
            func=func,
            name=name,
            title=str(func.overloadpacket),
            kind=_kind(func, name),
            formula=flop_registry.get(func.overloadpacket),
            launches=not view and not name.startswith(("empty", "new_empty", "_local_scalar")),
            repeatable=not view and not func._schema.is_mutable,
        )


def run(operation: Operation, args: Any, kwargs: Any) -> tuple[Any, Work | None]:
    """Run an operation on meta tensors.

    Returns:
        Its result, and its work; None for one that launches nothing.
    """
    if not operation.repeatable:
        return _run_anew(operation, args, kwargs)
    key = (operation.func, _described(args), _described(kwargs))
    if key not in _SEEN:
        result, work = _run_anew(operation, args, kwargs)
        results = result if isinstance(result, tuple) else (result,)
        plain = all(isinstance(r, Tensor) and r.device.type == "meta" for r in results)
        made = [Made(tuple(r.shape), r.stride(), r.dtype) for r in results] if plain else None
        _SEEN[key] = made, work
        return result, work
    made, work = _SEEN[key]
    if made is None:
        return _run_anew(operation, args, kwargs)
    return _imitated(operation, made), work


def is_known(name: str, kind: Kind) -> bool:
    """Whether it is known that an operation does work of this kind.

    An operation that nothing here knows is traced as a copy.
    """
    return kind != "copy" or name.removeprefix("aten.") in _COPIES


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors among nested arguments."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        return tensors_in(list(tree.values()))
    if isinstance(tree, (tuple, list)):
        return [tensor for each in tree for tensor in tensors_in(each)]
    return []


_SEEN: dict[Any, tuple[list[Made] | None, Work | None]] = {}


def _run_anew(operation: Operation, args: Any, kwargs: Any) -> tuple[Any, Work | None]:
    made = shapes.results(operation.func, args, kwargs)
    result = operation.func(*args, **kwargs) if made is None else _imitated(operation, made)
    if operation.name == "convolution":
        result = _in_layout_of(result, *args[:2])
    if not operation.launches or not tensors_in(result):
        return result, None
    return result, _work(operation, args, kwargs, result)


def _imitated(operation: Operation, made: Sequence[Made]) -> Any:
    tensors = tuple(each.on_meta() for each in made)
    return tensors if len(operation.func._schema.returns) > 1 else tensors[0]


def _described(value: Any) -> Any:
    """All that decides what a meta operation makes of a value."""
    if isinstance(value, Tensor):
        return Tensor, value.shape, value.stride(), value.dtype, value.device.type
    if isinstance(value, (tuple, list)):
        return type(value), *map(_described, value)
    if isinstance(value, dict):
        return tuple((name, _described(each)) for name, each in value.items())
    return type(value), repr(value) if isinstance(value, float) else value  # True is not 1


def _in_layout_of(result: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """A convolution's result as libraries leave it; on meta tensors it forgets channels-last."""
    if result.dim() != 4 or not (is_channels_last(image) or is_channels_last(weight)):
        return result
    return result.contiguous(memory_format=torch.channels_last)


def _is_view(func: Any, name: str) -> bool:
    """Whether the results only look at memory that the arguments have."""
    aliases = [r.alias_info for r in func._schema.returns]
    declared = bool(aliases) and all(a is not None and not a.is_write for a in aliases)
    return declared or name in _VIEWS_UNDECLARED


def _kind(func: Any, name: str) -> Kind:
    if "_fft_" in name:
        return "fft"
    if "softmax" in name:
        return "softmax"
    if torch.Tag.pointwise in func.tags:
        return "elementwise"
    words = name.split("_")
    if "vector" in words:  # its length, a sum of squares
        return "reduction"
    if any(word in words for word in _NORMALISATION):
        return "normalisation"
    if any(name.startswith(word) or word in words or "pool" in name for word in _REDUCTION):
        return "reduction"
    return "copy"


def _work(operation: Operation, args: Any, kwargs: Any, result: Any) -> Work:
    name = operation.name
    if operation.formula is None:
        if operation.kind == "fft":
            return Work("fft", _fft_flops(name, args, result), _as_product(name, args, result))
        return Work(operation.kind, 0, None)
    flops = int(operation.formula(*args, **kwargs, out_val=result))
    product = _as_product(name, args, result)
    if "conv" not in name:
        return Work("product", flops, product)
    # As many groups as channels: bound by memory, unlike a dense convolution.
    groups = args[-1]
    if 1 < args[1].shape[0] == groups:
        return Work("depthwise", flops, product)
    return Work("convolution" if groups == 1 else "grouped", flops, product)


def _as_product(name: str, args: Any, result: Any) -> Product | None:
    """A matrix product or convolution as groups x (m, k) by (k, n)."""
    if "conv" in name:
        weight, groups = args[1], args[-1]
        out, inner = weight.shape[0], math.prod(weight.shape[1:])
        places = result.shape[0] * math.prod(result.shape[2:])
        if args[6]:  # transposed: weight is (in, out / groups, ...)
            out, inner = result.shape[1], weight.shape[0] // groups
        return Product(groups, places, out // groups, inner)
    matrices = [a for a in args if isinstance(a, Tensor) and a.dim() >= 2][-2:]
    if len(matrices) < 2:
        return None
    left, right = matrices
    return Product(math.prod(left.shape[:-2]), left.shape[-2], right.shape[-1], left.shape[-1])


def _fft_flops(name: str, args: Any, result: Tensor) -> int:
    """5 n log2 n for each transform; a real side halves the work."""
    signal = result if "c2r" in name else args[0]  # the side that has all points
    points = math.prod(signal.shape[d] for d in args[1])
    transforms = signal.numel() // points
    flops = transforms * 5 * points * math.log2(max(points, 2))
    return int(flops if "c2c" in name else flops / 2)
