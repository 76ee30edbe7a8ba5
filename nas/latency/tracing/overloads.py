"""Torch's functions as a trace sees them: what each makes, and what kind of work it is.

They run on meta tensors, which have shapes and no memory. A function that already ran on operands
of the same shapes is not run again, its results are only recreated: a space repeats a few hundred
of them. Functions are told apart by overload, such as `aten.add.Tensor`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from nas.latency.tracing import shapes
from nas.latency.tracing.operations import Kind, Product
from nas.latency.tracing.shapes import Made, is_channels_last

_VIEWS_UNDECLARED = ("_unsafe_view", "unsafe_split", "unsafe_split_with_sizes")
"""Functions whose results share memory with the argument although their schemas deny it."""
_NORMALISATION = ("norm", "rms")
_REDUCTION = ("mean", "sum", "amax", "amin", "pool", "var", "std", "max", "min", "topk", "sort")
"""Words in the names of functions that reduce."""
_REDUCTION_NAMES = frozenset(
    (
        *("prod", "logsumexp", "argmax", "argmin", "cumsum", "cumprod", "cummax", "cummin"),
        *("logcumsumexp", "aminmax", "argsort", "count_nonzero", "median"),
    )
)
"""Names of those without such a word; a running sum passes over its elements as a sum does."""
_ELEMENTWISE_NAMES = frozenset(
    ("glu", "_prelu_kernel", "log_sigmoid_forward", "native_dropout", "polar")
)
"""What computes element by element although torch does not tag it so."""
_COPY_NAMES = frozenset(
    (
        *("_to_copy", "copy", "contiguous", "as_strided", "cat", "stack", "repeat", "roll"),
        *("repeat_interleave", "constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "complex"),
        *("channel_shuffle", "gather", "take", "masked_select", "masked_scatter", "embedding"),
        *("im2col", "col2im", "unfold_copy", "grid_sampler_2d", "tril", "triu", "diag_embed"),
        *("arange", "linspace", "ones", "zeros", "full", "eye", "fill", "zero", "scalar_tensor"),
        *("ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full", "nonzero"),
        *("lift_fresh_copy", "flip", "rand", "randn", "randint", "randperm"),
    )
)
"""What moves or writes numbers and computes none."""
_FITTED_AS_COPIES = frozenset(("hardswish", "floor_divide", "all", "any"))
"""These compute something, but the shipped GPU model was fitted with them as copies: give them
another kind only together with a new fit."""
_COPY_WORDS = ("upsample", "_upsample", "index", "scatter", "reflection_pad", "replication_pad")
"""How the names of more such functions begin."""


class Work(NamedTuple):
    """What a function does to given operands; work that memory limits counts no FLOPs."""

    kind: Kind
    flops: int
    product: Product | None


class Overload(NamedTuple):
    """All that is known of one of torch's functions before it has operands."""

    func: Any
    name: str
    title: str
    kind: Kind
    """Its kind of work, where it has no formula."""
    formula: Callable[..., int] | None
    """Torch's own formula for its FLOPs."""
    launches: bool
    """False for views and allocations, which run nothing on the device."""
    repeatable: bool
    """Whether its results are new tensors that depend on the operands' shapes alone."""

    @staticmethod
    @cache
    def of(func: Any) -> Overload:
        """What is known of a `torch._ops.OpOverload`."""
        name: str = func.overloadpacket.__name__
        view = _is_view(func, name)
        return Overload(
            func=func,
            name=name,
            title=str(func.overloadpacket),
            kind=_kind(func, name),
            formula=flop_registry.get(func.overloadpacket),
            launches=not view and not name.startswith(("empty", "new_empty", "_local_scalar")),
            repeatable=not view and not func._schema.is_mutable,
        )


def run(overload: Overload, args: Any, kwargs: Any) -> tuple[Any, Work | None]:
    """Run a function on meta tensors.

    Returns:
        Its result, and its work; None where it runs nothing on the device.
    """
    if not overload.repeatable:
        return _run_anew(overload, args, kwargs)
    key = (overload.func, _described(args), _described(kwargs))
    if key not in _SEEN:
        result, work = _run_anew(overload, args, kwargs)
        results = result if isinstance(result, tuple) else (result,)
        plain = all(isinstance(r, Tensor) and r.device.type == "meta" for r in results)
        made = [Made(tuple(r.shape), r.stride(), r.dtype) for r in results] if plain else None
        _SEEN[key] = made, work
        return result, work
    made, work = _SEEN[key]
    if made is None:
        return _run_anew(overload, args, kwargs)
    return _imitated(overload, made), work


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


def _run_anew(overload: Overload, args: Any, kwargs: Any) -> tuple[Any, Work | None]:
    made = shapes.results(overload.func, args, kwargs)
    result = overload.func(*args, **kwargs) if made is None else _imitated(overload, made)
    if overload.name == "convolution":
        result = _in_layout_of(result, *args[:2])
    if not overload.launches or not tensors_in(result):
        return result, None
    return result, _work(overload, args, kwargs, result)


def _imitated(overload: Overload, made: Sequence[Made]) -> Any:
    tensors = tuple(each.on_meta() for each in made)
    return tensors if len(overload.func._schema.returns) > 1 else tensors[0]


def _described(value: Any) -> Any:
    """All that decides what a function on meta tensors makes of a value."""
    if isinstance(value, Tensor):
        return Tensor, value.shape, value.stride(), value.dtype, value.device.type
    if isinstance(value, (tuple, list)):
        return type(value), *map(_described, value)
    if isinstance(value, dict):
        return tuple((name, _described(each)) for name, each in value.items())
    return type(value), repr(value) if isinstance(value, float) else value  # True is not 1


def _in_layout_of(result: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """A convolution's result in the layout that libraries give it, which meta tensors lose."""
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
    plain = name.removesuffix("_")  # a function in place has the name of the one that is not
    if torch.Tag.pointwise in func.tags or plain in _ELEMENTWISE_NAMES:
        return "elementwise"
    words = name.split("_")
    if "vector" in words:  # the length of a vector, a sum of squares
        return "reduction"
    if any(word in words for word in _NORMALISATION):
        return "normalisation"
    if any(name.startswith(word) or word in words or "pool" in name for word in _REDUCTION):
        return "reduction"
    if plain in _REDUCTION_NAMES:
        return "reduction"
    if (
        plain in _COPY_NAMES | _FITTED_AS_COPIES
        or name.startswith(_COPY_WORDS)
        or plain.endswith("_scatter")
    ):
        return "copy"
    return "unknown"


def _work(overload: Overload, args: Any, kwargs: Any, result: Any) -> Work:
    name = overload.name
    if overload.formula is None:
        if overload.kind == "fft":
            return Work("fft", _fft_flops(name, args, result), _as_product(name, args, result))
        return Work(overload.kind, 0, None)
    flops = int(overload.formula(*args, **kwargs, out_val=result))
    product = _as_product(name, args, result)
    if "conv" not in name:
        return Work("product", flops, product)
    # With as many groups as channels it is limited by memory, unlike a dense convolution.
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
    """5 n log2 n for each transform; half of it where one side is real."""
    signal = result if "c2r" in name else args[0]  # the side that holds all points
    points = math.prod(signal.shape[d] for d in args[1])
    transforms = signal.numel() // points
    flops = transforms * 5 * points * math.log2(max(points, 2))
    return int(flops if "c2c" in name else flops / 2)
