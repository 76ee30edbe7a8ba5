"""Context-mixing dynamic convolution: each position's kernel comes from its view of the whole map.

    A_g = q_g k_g^T / sqrt(d)     q: positions, k: 7 x 7 regions of the pooled map; per group g
    D_g = softmax(A_g M + B_g)    one k x k kernel for each position; M: (49, k*k)
    y = W_o [D_1 (*) x_1, ..., D_G (*) x_G]        x, y: (B, C, H, W)

x_g are the d channels of a group; queries and keys have half as many. At every position (*)
filters with that position's kernel. With `small`, as in the paper, the first half of each group's
channels has a 5 x 5 kernel of its own, made from the same products by an M and a B of its own.
With norm `batch`, as in the paper, batch norms stand in place of the biases of the projections;
that is deployed as its equal without norms (see `folding.py`).
The authors' network differs in two more ways. Its keys come from another branch, here from the map
itself. Its kernels move inside the map at the border; here the map is zero beyond it.
Elastic: channels and groups (leading; a group is always `head_dim` wide), kernel (centre window).
Paper: OverLoCK (ContMix), Lou and Yu 2025, https://arxiv.org/abs/2502.20087 (Section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.folding import NormedLinear
from search_spaces.layers import averages, split_heads, taps

REGIONS = 7  # along each side
SMALL = 5
"""Side of the small kernels."""


@dataclass(frozen=True)
class DynamicConvOptions(Options):
    """Side of the kernels, channels of a group, small kernels beside them, norms in training."""

    kernel: int = choice(3, 5, 7, default=5, unit="px", meaning="depthwise kernel")
    head_dim: int = choice(16, 32, unit="channels", meaning="head width")
    small: bool = choice(False, True, tacit=True)
    norm: str = choice("none", "batch", tacit=True)


class DynamicConv(nn.Module):
    """OverLoCK's ContMix."""

    def __init__(self, dim: int, options: DynamicConvOptions) -> None:
        super().__init__()
        self.options, normed = options, options.norm == "batch"
        self.kernel, self.head_dim = options.kernel, options.head_dim
        self.heads = -(-dim // self.head_dim)
        inner = self.heads * self.head_dim // 2
        self.q = _projection(dim, inner, normed)
        self.k = _projection(dim, inner, normed)
        self.mix = nn.Parameter(torch.empty(REGIONS**2, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(self.heads, self.kernel, self.kernel))
        self.small_mix = self.small_bias = None
        if options.small:
            self.small_mix = nn.Parameter(torch.empty(REGIONS**2, SMALL, SMALL))
            self.small_bias = nn.Parameter(torch.zeros(self.heads, SMALL, SMALL))
            nn.init.uniform_(self.small_mix, -1 / REGIONS, 1 / REGIONS)
        self.project = _projection(dim, dim, normed)
        nn.init.uniform_(self.mix, -1 / REGIONS, 1 / REGIONS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        t = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        dim = t.shape[3]
        values = F.pad(t, (0, self.heads * self.head_dim - dim))
        q, k = self._queries_and_keys(t)
        if self.small_mix is None or self.small_bias is None:
            y = self._filtered(values, q, k, self.mix, self.bias).flatten(3)
        else:
            groups = torch.unflatten(values, 3, (self.heads, self.head_dim))
            few, many = (half.flatten(3) for half in groups.chunk(2, 4))
            near = self._filtered(few, q, k, self.small_mix, self.small_bias)
            wide = self._filtered(many, q, k, self.mix, self.bias)
            y = torch.cat([near, wide], dim=4).flatten(3)
        out: Tensor = self.project(y[..., :dim])
        return out.permute(0, 3, 1, 2)

    def settled(self) -> DynamicConv:
        """The module without norms that computes the same with the statistics so far."""
        names, own = ("q", "k", "project"), self.state_dict()
        if self.options.norm == "none":
            return self
        plain = DynamicConv(len(own["project.linear.weight"]), replace(self.options, norm="none"))
        plain.to(self.mix.device, self.mix.dtype)
        kept = {n: t for n, t in own.items() if n.partition(".")[0] not in names}
        plain.load_state_dict(kept, strict=False)
        for name in names:
            normed, layer = self.get_submodule(name), plain.get_submodule(name)
            assert isinstance(normed, NormedLinear)
            assert isinstance(layer, nn.Linear)
            normed.folded().write(layer)
        return plain

    def _filtered(self, t: Tensor, q: Tensor, k: Tensor, mix: Tensor, bias: Tensor) -> Tensor:
        """Filter some channels of every group: (B, H, W, heads * c) -> (B, H, W, heads, c)."""
        kernels = torch.unflatten(self._kernels(q, k, mix, bias), 2, tuple(t.shape[1:3]))
        weights = kernels.permute(4, 0, 2, 3, 1)[..., None]  # (k*k, B, H, W, heads, 1)
        shifted = [torch.unflatten(tap, 3, (self.heads, -1)) for tap in taps(t, mix.shape[2])]
        y: Tensor = shifted[0] * weights[0]
        for tap, weight in zip(shifted[1:], weights[1:], strict=True):
            y = torch.addcmul(y, tap, weight)
        return y

    def _queries_and_keys(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, C) -> (B, heads, N, d/2) of positions, (B, heads, 49, d/2) of regions."""
        batch, height, width, dim = t.shape
        rows, columns = averages(height, REGIONS, t), averages(width, REGIONS, t)
        regions = rows @ (columns @ t).reshape(batch, height, -1)
        q = split_heads(self.q(t.flatten(1, 2)), self.heads)
        k = split_heads(self.k(regions.reshape(batch, REGIONS**2, dim)), self.heads)
        return q, k * self.head_dim**-0.5

    def _kernels(self, q: Tensor, k: Tensor, mix: Tensor, bias: Tensor) -> Tensor:
        """One kernel for each group and position, (B, heads, N, k*k)."""
        # (q k^T) M = q (M^T k)^T: mixing the 49 keys first costs less than mixing all scores.
        mixed = mix.flatten(1).T @ k  # (B, heads, k*k, d/2)
        scores: Tensor = q @ mixed.transpose(2, 3) + bias.flatten(1)[:, None]
        return scores.softmax(dim=3)


def _projection(dim: int, out_dim: int, normed: bool) -> nn.Module:
    return NormedLinear(dim, out_dim) if normed else nn.Linear(dim, out_dim)


MIXERS.register(
    Family(
        "dynamic_conv",
        DynamicConvOptions,
        DynamicConv,
        paper="https://arxiv.org/abs/2502.20087",
        nested=("dim",),
        deployed=lambda options: ("dynamic_conv", replace(options, norm="none")),
    )
)
