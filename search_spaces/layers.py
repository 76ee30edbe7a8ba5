"""Small layers that every part is made of: norms, activations, token views.

Maps are (B, C, H, W) in channels-last memory, so their tokens (B, H*W, C) are a view.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.progressive_norm import PROGRESSIVE, ProgressiveBatchNorm

NormName = Literal[
    "layer", "layer-1e-5", "layer-unbiased", "group", "batch", "batch-1e-3", "batch-progressive"
]
NORMS: tuple[str, ...] = get_args(NormName)
"""Kinds of norm over a map of channels.

`layer` normalises each position, with epsilon 1e-6 unless named; `layer-unbiased` has no bias.
`group` normalises each image. `batch-1e-3` has the epsilon of TensorFlow's published networks.
`batch-progressive` begins as layer norm and ends as batch norm, see `progressive_norm.py`.
"""


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of a map; (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, eps: float = 1e-6, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position over its channels."""
        y = x.permute(0, 2, 3, 1)
        y = F.layer_norm(y, self.weight.shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class GroupNorm2d(nn.GroupNorm):
    """Group norm with one group: over all channels and positions of an image."""

    def __init__(self, dim: int) -> None:
        super().__init__(1, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        # Torch 2.13's group norm crashes in the backward pass of a channels-last map. A map of one
        # position counts as one, so positions are one dimension here.
        y = super().forward(x.flatten(2).contiguous())
        return channels_last(y.reshape(x.shape))


class SquaredReLU(nn.Module):
    """The square of relu(x).

    Paper: Primer, So et al. 2021, https://arxiv.org/abs/2109.08668
    """

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of any shape."""
        return torch.relu(x).square()


class StarReLU(nn.Module):
    """s relu(x)^2 + b with two learned numbers.

    Paper: Yu et al. 2022, https://arxiv.org/abs/2210.13452 (Section 2.3)
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of any shape."""
        return self.scale * torch.relu(x) ** 2 + self.bias


class PointwiseLinear(nn.Linear):
    """A linear layer over the channels of a map: a 1x1 convolution as a matrix product.

    On channels-last maps this is a plain matrix product without the weight reordering that a
    convolution pays at every call in eager mode.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def make_norm(kind: str, dim: int) -> nn.Module:
    """The norm of that kind over `dim` channels of a map."""
    if kind == PROGRESSIVE:
        return ProgressiveBatchNorm(dim)
    if is_batch(kind):
        return nn.BatchNorm2d(dim)
    if kind == "group":
        return GroupNorm2d(dim)
    eps = 1e-5 if kind == "layer-1e-5" else 1e-6
    return LayerNorm2d(dim, eps, bias=kind != "layer-unbiased")


def is_batch(kind: str) -> bool:
    """Whether a kind of norm is batch norm, which makes the bias before it useless."""
    return kind.startswith("batch")


def set_epsilon(module: nn.Module, kind: str) -> None:
    """Give every batch norm within a module the epsilon of the network's kind of norm."""
    if kind == "batch-1e-3":
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.eps = 1e-3


def make_activation(kind: str) -> nn.Module:
    """'gelu', 'relu', 'relu6' (at most 6), 'squared_relu', 'silu' or 'none'."""
    kinds: dict[str, type[nn.Module]] = {
        "gelu": nn.GELU,
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "squared_relu": SquaredReLU,
        "silu": nn.SiLU,
        "none": nn.Identity,
    }
    return kinds[kind]()


def depthwise(dim: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """A depthwise convolution that keeps the map's size at stride 1."""
    return nn.Conv2d(dim, dim, kernel, stride, kernel // 2, groups=dim, bias=bias)


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """A map with zeros below and to the right, so that `multiple` divides its sides."""
    down, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return F.pad(x, (0, right, 0, down)) if down or right else x


def taps(x: Tensor, kernel: int, dilation: int = 1) -> list[Tensor]:
    """What each entry of a kernel sees: k*k views of the zero-padded map, row by row.

    For kernels that differ between images or positions, which a convolution does not take.
    (B, H, W, C) -> k*k times (B, H, W, C)
    """
    height, width = x.shape[1:3]
    border = kernel // 2 * dilation
    padded = F.pad(x, (0, 0, border, border, border, border))
    starts = range(0, kernel * dilation, dilation)
    return [padded[:, i : i + height, j : j + width] for i in starts for j in starts]


def averages(length: int, bins: int, like: Tensor) -> Tensor:
    """The matrix (bins, length) of adaptive average pooling; bin i ends where i + 1 begins.

    A bin that begins or ends within a position has all of it, and the matrix works for any length.
    """
    position = torch.arange(length, device=like.device)
    edge = torch.arange(bins, device=like.device)[:, None]
    first, last = edge * length // bins, ((edge + 1) * length + bins - 1) // bins
    inside = ((position >= first) & (position < last)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def channels_last(x: Tensor) -> Tensor:
    """The same map in channels-last memory; a convolution of a grey image may leave another."""
    return x.contiguous(memory_format=torch.channels_last)


def tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C); a view of channels-last memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def maps(t: Tensor, height: int, width: int) -> Tensor:
    """(B, H*W, C) -> (B, C, H, W) in channels-last memory."""
    return t.reshape(t.shape[0], height, width, t.shape[2]).permute(0, 3, 1, 2)


def split_heads(t: Tensor, heads: int) -> Tensor:
    """(B, N, heads*d) -> (B, heads, N, d)."""
    batch, count, width = t.shape
    return t.reshape(batch, count, heads, width // heads).transpose(1, 2)


def merge_heads(t: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, heads*d)."""
    return t.transpose(1, 2).flatten(2)


def heads_of(dim: int, head_dim: int) -> int:
    """How many heads of a fixed width fit into `dim` channels; at least one."""
    return max(1, dim // head_dim)


ALIGNED = 8
"""What fused attention reads comes in runs of this many entries, 16 bytes in half precision."""


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention of any widths and any memory layout, in one fused kernel.

    Fused kernels need one width for all three, a multiple of 8: what is narrower gets channels of
    zeros. On a GPU the distances in memory from token to token and from head to head must be
    multiples of 8 too, which those of a part of a joint projection need not be. PyTorch does not
    check it: on an H200 float32 ended in an error, and half precision was wrong by 3 %.

    Args:
        q: Queries, (B, heads, N, d).
        k: Keys, (B, heads, M, d).
        v: Values, (B, heads, M, e).
        bias: Added to the scores, or True where a query may look; broadcast to (B, heads, N, M).

    Returns:
        (B, heads, N, e).
    """
    thin, wide = q.shape[3], v.shape[3]
    width = -(-max(thin, wide) // ALIGNED) * ALIGNED
    scale = None if thin == width else thin**-0.5
    q, k, v = (_aligned(t, width) for t in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return y if wide == width else y[..., :wide]


def _aligned(t: Tensor, width: int) -> Tensor:
    """The same heads with that many channels, the added ones zero, where fused kernels read."""
    missing = width - t.shape[3]
    if not missing and t.stride(1) % ALIGNED == t.stride(2) % ALIGNED == 0:
        return t
    # Copied with the heads beside the channels: torch takes a single head for channels-last
    # memory, and would give it a distance of 1.
    t = t.transpose(1, 2)
    t = F.pad(t, (0, missing)) if missing else t.contiguous()
    return t.transpose(1, 2)


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Stochastic depth: each sample's branch is dropped with probability `rate`.

    Draws from torch's global generator, which the training loops seed anew for each step.
    Paper: Huang et al. 2016, https://arxiv.org/abs/1603.09382
    """
    if rate == 0.0:
        return x
    keep = 1.0 - rate
    mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device) < keep
    return x * mask.to(x.dtype).div_(keep)
