"""Shapes and strides of the results of torch's most frequent functions on meta tensors.

Torch computes them in Python, which takes up to 15 ms each and imports its compiler. A rule here
takes microseconds and gives the same result, which a test checks. Where a rule does not apply it
returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Made(NamedTuple):
    """A new tensor."""

    shape: Shape
    strides: Shape
    dtype: torch.dtype

    def on_meta(self) -> Tensor:
        """The tensor, without memory."""
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


Rule = Callable[..., list[Made] | None]


def results(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Made] | None:
    """The results of a function of meta tensors; None where there is no rule."""
    rule = _RULES.get(func)
    if rule is None or kwargs or not all(map(_is_on_meta, args)):
        return None
    return rule(*args)


def _is_on_meta(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_on_meta, value))
    return not isinstance(value, Tensor) or value.device.type == "meta"


def strides_of(shape: Sequence[int], order: Sequence[int] | None = None) -> Shape:
    """Strides without gaps, with these axes from the outermost to the innermost."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


CHANNELS_LAST = (0, 2, 3, 1)


def _elementwise(*args: Any) -> list[Made] | None:
    """Tensors of one type; plain numbers among the arguments do not change the type."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    dtype = tensors[0].dtype
    plain = (dtype.is_floating_point or dtype.is_complex) and _is_plain(args, tensors)
    return _together(tensors, dtype) if plain else None


def _arithmetic(*args: Any) -> list[Made] | None:
    """The same; integers stay integers."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    integers = tensors[0].dtype is torch.int64 and not any(isinstance(a, float) for a in args)
    if integers and _is_plain(args, tensors):
        return _together(tensors, torch.int64)
    return _elementwise(*args)


def _comparison(*args: Any) -> list[Made] | None:
    tensors = [a for a in args if isinstance(a, Tensor)]
    return _together(tensors, torch.bool) if _is_plain(args, tensors) else None


def _complex(real: Tensor, imaginary: Tensor) -> list[Made] | None:
    if real.dtype != torch.float32:
        return None
    return _together([real, imaginary], torch.complex64)


def _is_plain(args: Sequence[Any], tensors: Sequence[Tensor]) -> bool:
    """Whether all tensors have one type and at least one axis."""
    if any(isinstance(a, complex) for a in args):
        return False
    return all(t.dtype == tensors[0].dtype and t.dim() > 0 for t in tensors)


def _together(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Made]:
    """The result of element-wise work on tensors that broadcast."""
    dims = max(t.dim() for t in tensors)
    padded = [(1,) * (dims - t.dim()) + tuple(t.shape) for t in tensors]
    shape = tuple(next((n for n in sides if n != 1), 1) for sides in zip(*padded, strict=True))
    strides = [t.expand(shape).stride() for t in tensors]
    return [Made(shape, _strides_together(shape, strides), dtype)]


def _strides_together(shape: Shape, strides: Sequence[Shape]) -> Shape:
    """Strides of the result of element-wise work on tensors of one shape.

    As in `compute_elementwise_output_strides` of `torch._prims_common`.
    """
    axes = range(len(shape))
    contiguous = all(_is_dense(shape, each, axes) for each in strides)
    last = len(shape) == 4 and all(_is_dense(shape, each, CHANNELS_LAST) for each in strides)
    if contiguous and not last:
        return strides_of(shape)
    if last and not contiguous:
        return strides_of(shape, CHANNELS_LAST)
    order = list(reversed(axes))
    for i in range(1, len(shape)):
        late = i
        for early in reversed(range(i)):
            swap = _compare(shape, strides, order[early], order[late])
            if swap > 0:
                order[early], order[late] = order[late], order[early]
                late = early
            elif swap < 0:
                break
    return strides_of(shape, order[::-1])


def _is_dense(shape: Shape, strides: Shape, order: Sequence[int]) -> bool:
    """Whether a tensor has no gaps with its axes in this order; axes of length 1 do not count."""
    step = 1
    for axis in reversed(order):
        if shape[axis] != 1:
            if strides[axis] != step:
                return False
            step *= shape[axis]
    return True


def _compare(shape: Shape, strides: Sequence[Shape], a: int, b: int) -> int:
    """Whether axis a has to lie outside axis b (1), inside (-1), or either (0)."""
    for each in strides:
        if each[a] == 0 or each[b] == 0 or (each[a] == each[b] and shape[b] >= shape[a]):
            continue
        return -1 if each[a] < each[b] else 1
    return 0


def _product(left: Tensor, right: Tensor) -> list[Made] | None:
    shape = (*left.shape[:-1], right.shape[-1])
    return [Made(shape, strides_of(shape), left.dtype)]


def _added_product(bias: Tensor, left: Tensor, right: Tensor) -> list[Made] | None:
    return _product(left, right) if bias.dtype == left.dtype else None


def _convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> list[Made] | None:
    """Of maps; the result is channels-last where an operand is, as libraries do it."""
    if transposed or image.dim() != 4 or not len(stride) == len(padding) == len(dilation) == 2:
        return None
    sides = _slid(image.shape[2:], weight.shape[2:], stride, padding, dilation)
    shape = (image.shape[0], weight.shape[0], *sides)
    last = is_channels_last(image) or is_channels_last(weight)
    return [_map(shape, image.dtype, last)]


def is_channels_last(tensor: Tensor) -> bool:
    """Whether it is a map in channels-last memory, and in no other layout."""
    return (
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
    )


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> list[Made] | None:
    if not x.is_contiguous() or not x.dtype.is_floating_point or x.dtype.itemsize > 4:
        return None
    statistics = (*x.shape[: x.dim() - len(shape)], *(1 for _ in shape))
    moment = Made(statistics, strides_of(statistics), torch.float32)
    return [Made(tuple(x.shape), x.stride(), x.dtype), moment, moment]


def _mean(x: Tensor, axes: Sequence[int], keep: bool = False) -> list[Made] | None:
    if not axes or not x.dtype.is_floating_point:
        return None
    gone = {axis % x.dim() for axis in axes}
    shape = tuple(1 if i in gone else side for i, side in enumerate(x.shape))
    if keep:
        return [Made(shape, _strides_together(shape, [strides_of(shape)]), x.dtype)]
    kept = tuple(side for i, side in enumerate(x.shape) if i not in gone)
    return [Made(kept, strides_of(kept), x.dtype)]


def _norm(
    x: Tensor, order: float, axes: Sequence[int] | None = None, keep: bool = False
) -> list[Made] | None:
    return _mean(x, axes or (), keep)


def _concatenation(tensors: Sequence[Tensor], axis: int = 0) -> list[Made] | None:
    first = tensors[0]
    if any(t.dtype != first.dtype or t.dim() != first.dim() for t in tensors):
        return None
    axis %= first.dim()
    side = sum(t.shape[axis] for t in tensors)
    shape = (*first.shape[:axis], side, *first.shape[axis + 1 :])
    return [_map(shape, first.dtype, all(map(_looks_channels_last, tensors)))]


def _roll(x: Tensor, shifts: Sequence[int], axes: Sequence[int] = ()) -> list[Made] | None:
    return [Made(tuple(x.shape), x.stride(), x.dtype)] if x.is_contiguous() else None


def _chosen(x: Tensor, indices: Sequence[Tensor | None]) -> list[Made] | None:
    """Positions along one axis, chosen by a list."""
    axis = len(indices) - 1
    at = indices[axis]
    if at is None or at.dim() != 1 or at.dtype is not torch.int64 or not x.is_contiguous():
        return None
    if any(each is not None for each in indices[:axis]):
        return None
    shape = (*x.shape[:axis], len(at), *x.shape[axis + 1 :])
    return [Made(shape, strides_of(shape), x.dtype)]


def _repeat(x: Tensor, times: Sequence[int]) -> list[Made] | None:
    sides = (1,) * (len(times) - x.dim()) + tuple(x.shape)
    shape = tuple(side * n for side, n in zip(sides, times, strict=True))
    return [Made(shape, strides_of(shape), x.dtype)]


def _resized(
    x: Tensor, size: Sequence[int], aligned: bool, *scales: float | None
) -> list[Made] | None:
    return [_map((*x.shape[:2], *size), x.dtype, _looks_channels_last(x))]


def _pool(
    x: Tensor,
    window: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil: bool = False,
    *counting: Any,
) -> list[Made] | None:
    if ceil or x.dim() != 4 or not len(window) == len(padding) == len(stride or window) == 2:
        return None
    sides = _slid(x.shape[2:], window, stride or window, padding, (1, 1))
    return [_map((*x.shape[:2], *sides), x.dtype, _looks_channels_last(x))]


def _slid(
    sides: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """Sides of the map that a sliding window gives."""
    along = zip(sides, window, stride, padding, dilation, strict=True)
    return [(side + 2 * p - d * (w - 1) - 1) // s + 1 for side, w, s, p, d in along]


def _map(shape: Shape, dtype: torch.dtype, channels_last: bool) -> Made:
    return Made(shape, strides_of(shape, CHANNELS_LAST if channels_last else None), dtype)


def _looks_channels_last(tensor: Tensor) -> bool:
    """Whether strides suggest that memory format, as torch's `is_channels_last_strides_2d`."""
    if tensor.dim() != 4 or tensor.stride(1) == 0:
        return False
    least = 0
    for axis in (1, 3, 2, 0):
        stride, side = tensor.stride(axis), tensor.shape[axis]
        if side == 0 or stride < least or (axis == 0 and least == tensor.stride(1)):
            return False
        least = stride * side
    return True


_ATEN = torch.ops.aten
_RULES: dict[Any, Rule] = {
    _ATEN.mm.default: _product,
    _ATEN.bmm.default: _product,
    _ATEN.addmm.default: _added_product,
    _ATEN.convolution.default: _convolution,
    _ATEN.native_layer_norm.default: _layer_norm,
    _ATEN.mean.dim: _mean,
    _ATEN.roll.default: _roll,
    _ATEN.repeat.default: _repeat,
    _ATEN.index.Tensor: _chosen,
    _ATEN.upsample_bilinear2d.default: _resized,
    _ATEN.avg_pool2d.default: _pool,
    _ATEN.linalg_vector_norm.default: _norm,
    _ATEN.cat.default: _concatenation,
    _ATEN.complex.default: _complex,
    **dict.fromkeys((_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor), _arithmetic),
    **dict.fromkeys((_ATEN.ne.Tensor, _ATEN.ge.Scalar), _comparison),
    **dict.fromkeys(
        (
            *(_ATEN.div.Tensor, _ATEN.addcmul.default, _ATEN.pow.Tensor_Scalar),
            *(_ATEN.gelu.default, _ATEN.relu.default, _ATEN.silu.default, _ATEN.sigmoid.default),
        ),
        _elementwise,
    ),
}
