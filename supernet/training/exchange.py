"""Tensors that several processes exchange, through the default group of `torch.distributed`.

Gradients are copied into a few long vectors first, because each exchange has a fixed cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

BUCKET_MIB = 25
"""Size of a vector of gradients, as in torch's DistributedDataParallel."""


def add_up(gradients: Sequence[Tensor]) -> None:
    """Replace each gradient by the sum over all processes, which must have the same ones."""
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


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


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one type, in order, up to the size of a bucket."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (gradient.dtype != bucket[0].dtype or size >= BUCKET_MIB * 2**20):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel() * gradient.element_size()
    if bucket:
        yield bucket
