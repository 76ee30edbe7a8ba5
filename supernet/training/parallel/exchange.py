"""Tensors that several processes exchange, through the default group of `torch.distributed`.

Tensors are copied into a few long vectors first, because each exchange has a fixed cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

BUCKET_MIB = 25
"""Size of a vector of gradients, as in torch's DistributedDataParallel."""


def add_up(gradients: Sequence[Tensor]) -> None:
    """Replace each gradient by the sum over all processes, which must have the same ones."""
    _exchange(gradients, dist.all_reduce)


def take_first(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by the first process's; all must have the same ones."""
    _exchange(tensors, lambda flat: dist.broadcast(flat, src=0))


def gathered(part: Tensor, rows: slice, images: int) -> Tensor:
    """The rows of all processes in one tensor.

    Its gradient goes back to this process's own rows alone. It is right if every process computes
    the same loss from the whole.

    Args:
        part: This process's rows, (rows, ...).
        rows: Which rows these are.
        images: How many rows there are in all.
    """
    whole: Tensor = _Gathered.apply(part, rows, images)  # type: ignore[no-untyped-call]
    return whole


def gathered_vectors(vector: Tensor) -> Tensor:
    """The vectors of all processes, (n,) -> (processes, n)."""
    whole = vector.new_empty((dist.get_world_size(), len(vector)))
    dist.all_gather(list(whole.unbind()), vector)
    return whole


class _Gathered(Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, rows: slice, images: int) -> Tensor:
        ctx.rows = rows
        # Adding zeros is exact, and parts may differ in size, which a gather does not allow.
        whole = part.new_zeros((images, *part.shape[1:]))
        whole[rows] = part
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return gradient[ctx.rows], None, None


@torch.no_grad()
def _exchange(tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        exchange(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in bucket])
        for tensor, part in zip(bucket, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type, in order, up to the size of a bucket."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (tensor.dtype != bucket[0].dtype or size >= BUCKET_MIB * 2**20):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel() * tensor.element_size()
    if bucket:
        yield bucket
