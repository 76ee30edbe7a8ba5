"""A network on a part of a batch that behaves as if it saw the whole batch.

    batch norm         mean and variance over the rows of all processes
    torch.rand         drawn for all rows, of which this process takes its own

The two calls are caught while the network runs, so networks know nothing of other processes.
Torch's SyncBatchNorm does the same for batch norm, but only on GPUs.
Paper: MegDet, Peng et al. 2018, https://arxiv.org/abs/1711.07240 (Section 3.2)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from supernet.training.draws import rand_of_rows
from supernet.training.parallel.exchange import gathered_vectors


class WholeBatch(TorchFunctionMode):
    """Catches what depends on the whole batch.

    Args:
        rows: The rows that this process runs.
        counts: How many rows each process runs.
    """

    def __init__(self, rows: slice, counts: Sequence[int]) -> None:
        super().__init__()
        self.rows, self.counts = rows, counts

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch, or what stands in for it."""
        if func is F.batch_norm:
            return self._batch_norm(func, *args, **(kwargs or {}))
        if func is torch.rand:
            whole = sum(self.counts)
            return rand_of_rows(func, self.rows, whole, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        plain: Callable[..., Tensor],
        x: Tensor,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        if not training:
            return plain(x, mean, var, weight, bias, training, momentum, eps)
        counts = torch.tensor(self.counts, device=x.device) * x[0, 0].numel()
        y: Tensor = _BatchNorm.apply(x, weight, bias, eps, counts)  # type: ignore[no-untyped-call]
        return y


class _BatchNorm(Function):
    """Batch norm of (B, C, ...) over the rows of all processes.

    y = w (x - m) / sqrt(v + eps) + b         m, v: mean and variance over all N positions
    dx = w / sqrt(v + eps) (dy - mean(dy) - x' mean(dy x'))            x' = (x - m) / sqrt(v + eps)
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, counts: Tensor
    ) -> Tensor:
        exact = x if x.dtype == torch.float64 else x.float()
        var, mean = torch.var_mean(exact, _all_but_channels(x), correction=0)
        means, vars = gathered_vectors(torch.cat([mean, var])).chunk(2, dim=1)
        counts = counts.to(exact.dtype)
        shares = (counts / counts.sum())[:, None]
        mean = (shares * means).sum(0)
        var = (shares * (vars + (means - mean).square())).sum(0)
        scale = torch.rsqrt(var + eps)
        normal = (exact - _along(mean, x)) * _along(scale, x)
        ctx.save_for_backward(normal, weight, scale, counts.sum())
        y = torch.addcmul(_along(bias, x), normal, _along(weight, x))
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        normal, weight, scale, count = ctx.saved_tensors
        exact, dims = dy.to(normal.dtype), _all_but_channels(dy)
        bias_gradient, weight_gradient = exact.sum(dims), (exact * normal).sum(dims)
        sums = torch.cat([bias_gradient, weight_gradient])
        dist.all_reduce(sums)
        mean, slope = (sums / count).chunk(2)
        dx = exact - _along(mean, dy) - normal * _along(slope, dy)
        dx *= _along(weight * scale, dy)
        own = weight.dtype
        return dx.to(dy.dtype), weight_gradient.to(own), bias_gradient.to(own), None, None


def _all_but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _along(vector: Tensor, x: Tensor) -> Tensor:
    """One number per channel, in the shape that goes with a map."""
    return vector.view(1, -1, *[1] * (x.ndim - 2))
