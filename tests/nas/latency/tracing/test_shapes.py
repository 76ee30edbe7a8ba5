"""The rules for shapes give what torch gives, wherever they apply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.latency.tracing import shapes

aten = torch.ops.aten
SHAPES = [(2, 6, 5, 7), (1, 6, 5, 7), (2, 1, 5, 7), (3, 6, 1, 1), (1, 8, 4, 1)]


def meta(*shape: int, dtype: torch.dtype = torch.float16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def layouts(shape: tuple[int, ...]) -> list[Tensor]:
    """A map in both layouts, a slice of its channels, and one whose positions are swapped."""
    x = meta(*shape)
    last = x.contiguous(memory_format=torch.channels_last)
    return [x, last, last[:, : max(1, shape[1] // 2)], x.transpose(2, 3), last.permute(0, 2, 3, 1)]


def maps() -> list[Tensor]:
    return [x for shape in SHAPES for x in layouts(shape)]


def _elementwise() -> Iterator[tuple[Any, ...]]:
    for x in maps():
        scale, column = meta(x.shape[1], 1, 1), meta(x.shape[0], x.shape[1], 1, x.shape[3])
        yield from ((func, x) for func in (aten.gelu.default, aten.relu.default))
        for func in (aten.add.Tensor, aten.mul.Tensor, aten.div.Tensor):
            yield from ((func, x, other) for other in (x, scale, column, 2, 0.5))
            yield func, scale, x
            yield func, x, meta(*x.shape)
        yield aten.addcmul.default, x, column, scale
        yield aten.pow.Tensor_Scalar, x, 3
        yield aten.sub.Tensor, x.to(torch.complex64), x.to(torch.complex64)
    whole = meta(4, 1, dtype=torch.int64)
    yield from ((func, whole, whole.T) for func in (aten.sub.Tensor, aten.ne.Tensor))
    yield from ((func, whole, 3) for func in (aten.mul.Tensor, aten.ge.Scalar))
    single = meta(2, 3, 4, dtype=torch.float32)
    yield aten.complex.default, single, single[:1]


def _products() -> Iterator[tuple[Any, ...]]:
    yield aten.mm.default, meta(4, 5), meta(7, 5).T
    yield aten.bmm.default, meta(3, 4, 5), meta(3, 7, 5).transpose(1, 2)
    yield aten.addmm.default, meta(7), meta(4, 5), meta(5, 7)
    for stride, padding, dilation in ((1, 1, 1), (2, 0, 1), (2, 3, 2)):
        pairs = ([value, value] for value in (stride, padding, dilation))
        weight = meta(9, 3, 3, 3)
        yield aten.convolution.default, meta(2, 6, 15, 14), weight, None, *pairs, False, [0, 0], 2


def _others() -> Iterator[tuple[Any, ...]]:
    for x in maps():
        yield from ((aten.mean.dim, x, axes, keep) for axes in ([2, 3], [-1]) for keep in (0, 1))
        yield aten.linalg_vector_norm.default, x, 2, [-1], True
        yield aten.cat.default, [x, x], 1
        yield aten.upsample_bilinear2d.default, x, [9, 4], True
        yield aten.native_layer_norm.default, x, [x.shape[-1]], None, None, 1e-5
        yield aten.roll.default, x, [1, 2], [1, 2]
        if min(x.shape[2:]) > 1:
            yield aten.avg_pool2d.default, x, [2, 2], [], [1, 1], False, False
            yield aten.avg_pool2d.default, x, [3, 3], [1, 1], [1, 1], False, False
    yield aten.cat.default, [meta(2, 4, 5, 6), layouts((2, 4, 5, 6))[1]], 1
    yield aten.repeat.default, meta(3, 4), [2, 1, 5]
    yield aten.index.Tensor, meta(3, 9), [None, meta(5, dtype=torch.int64)]


@pytest.mark.parametrize("calls", [_elementwise, _products, _others])
def test_a_rule_gives_what_torch_gives(calls: Any) -> None:
    ruled = 0
    for func, *args in calls():
        made = shapes.results(func, args, {})
        if made is None:
            continue
        ruled += 1
        found = func(*args)
        expected = list(found) if isinstance(found, (tuple, list)) else [found]
        assert [_placed(m.shape, m.strides, m.dtype) for m in made] == [
            _placed(tuple(t.shape), t.stride(), t.dtype) for t in expected
        ], (func, args)
    assert ruled > 0.8 * sum(1 for _ in calls())


def _placed(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> Any:
    """Where elements lie; the stride of an axis of one place says nothing."""
    return shape, [s for side, s in zip(shape, strides, strict=True) if side > 1], dtype


def test_there_is_no_rule_for_other_devices_types_or_words() -> None:
    half, single = meta(2, 3), meta(2, 3, dtype=torch.float32)
    assert shapes.results(aten.add.Tensor, (half, single), {}) is None
    assert shapes.results(aten.add.Tensor, (half, half), {"alpha": 2}) is None
    assert shapes.results(aten.add.Tensor, (half, torch.zeros(2, 3)), {}) is None
    assert shapes.results(aten.mul.Tensor, (half, 1j), {}) is None
    assert shapes.results(aten.cos.default, (half,), {}) is None
