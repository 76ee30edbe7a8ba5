"""Re-parameterised convolution: branches while it is trained, one depthwise convolution after.

    design      y as it is trained                                  x, y: (B, C, H, W)
    repvgg      BN(K * x) + BN(p x) + BN(x)
    mobileone   BN(K_1 * x) + ... + BN(K_4 * x) + BN(p x) + BN(x)
    repmixer    x + s (BN(K * x) + BN(p x) + BN(x) - BN(x))
    repvit      BN(BN(K * x) + p x + b + x)
    folded      F * x + f                                           what each of them is equal to

K, F: depthwise k x k kernels; p, s, b, f: one number per channel; each BN is a norm of its own.
Every branch is linear, so a trained module has an equal with one kernel, which is timed, counted
and exported in its place (see `folding.py`). Squeeze-excite, if any, follows the sum.
Every design has the map itself among its branches, so in layout `bare` no shortcut is added. There
a block may also stride and widen: without the branches of x (repvit: with K alone) it is filtered
at the stride, and a 1 x 1 convolution with a norm follows.
Elastic: channels (leading), kernel (centre window).
Papers: RepVGG, Ding et al. 2021, https://arxiv.org/abs/2101.03697 (Section 3.2); MobileOne, Vasu
et al. 2022, https://arxiv.org/abs/2206.04040 (Section 3.2); FastViT, Vasu et al. 2023,
https://arxiv.org/abs/2303.14189 (Section 3.2.1, RepMixer); RepViT, Wang et al. 2023,
https://arxiv.org/abs/2307.09283 (Section 3.2)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from search_spaces.branches import SCALE
from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.folding import Kernel, Normed
from search_spaces.layers import depthwise
from search_spaces.mixers.convolution.mbconv import SqueezeExcite

LARGE_KERNELS = {"folded": 0, "repvgg": 1, "mobileone": 4, "repmixer": 1, "repvit": 1}
"""How many branches have a k x k kernel."""


@dataclass(frozen=True)
class RepConvOptions(Options):
    """Which branches are trained, side of the kernel, squeeze-excite after the sum."""

    design: str = choice("folded", "repvgg", "repvit", "repmixer", "mobileone", default="repvgg")
    kernel: int = choice(3, 5, 7, unit="px", meaning="depthwise kernel")
    squeeze_excite: bool = choice(False, True)


class Scale(nn.Module):
    """One factor for each channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim,), SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.weight[:, None, None]


class Branches(nn.Module):
    """The branches of a design, which add up to one depthwise convolution."""

    def __init__(self, dim: int, design: str, kernel: int, stride: int, keeps: bool) -> None:
        super().__init__()
        repvit = design == "repvit"
        self.large = nn.ModuleList(
            Normed(depthwise(dim, kernel, stride, bias=False))
            for _ in range(LARGE_KERNELS[design])
        )
        self.point = None if repvit else Normed(depthwise(dim, 1, stride, bias=False))
        self.identity = nn.BatchNorm2d(dim) if keeps and not repvit else None
        self.plain_point = depthwise(dim, 1) if keeps and repvit else None
        self.last_norm = nn.BatchNorm2d(dim) if keeps and repvit else None
        mixes = keeps and design == "repmixer"
        self.taken = nn.BatchNorm2d(dim) if mixes else None
        self.scale = Scale(dim) if mixes else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride)."""
        first, *others = self.large
        y: Tensor = first(x)
        for each in (*others, self.point, self.identity):
            y = y if each is None else y + each(x)
        if self.plain_point is not None and self.last_norm is not None:
            y = self.last_norm(y + self.plain_point(x) + x)
        if self.taken is not None and self.scale is not None:
            y = x + self.scale(y - self.taken(x))
        return y

    def folded(self) -> Kernel:
        """The one convolution that they are equal to."""
        total, *others = (each.folded() for each in self.large if isinstance(each, Normed))
        same = Kernel.identity(total.bias)
        if self.point is not None:
            others.append(self.point.folded())
        if self.identity is not None:
            others.append(same.then(self.identity))
        for other in others:
            total = total.plus(other)
        if self.plain_point is not None and self.last_norm is not None:
            total = total.plus(Kernel.of(self.plain_point)).plus(same).then(self.last_norm)
        if self.taken is not None and self.scale is not None:
            taken = same.then(self.taken).times(-1.0)
            total = same.plus(total.plus(taken).times(self.scale.weight))
        return total


class RepConv(nn.Module):
    """A depthwise convolution that is trained as a sum of branches."""

    def __init__(
        self, dim: int, options: RepConvOptions, out_dim: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        self.shape, self.options = (dim, out_dim or dim, stride), options
        dim, out_dim, stride = self.shape
        kernel, keeps = options.kernel, (dim, stride) == (out_dim, 1)
        folded = options.design == "folded"
        self.conv = depthwise(dim, kernel, stride) if folded else None
        self.branches = None if folded else Branches(dim, options.design, kernel, stride, keeps)
        self.widen = nn.Conv2d(dim, out_dim, 1) if folded and not keeps else None
        self.widen_normed = (
            None if folded or keeps else Normed(nn.Conv2d(dim, out_dim, 1, bias=False))
        )
        # RepViT's squeeze: a quarter of the channels, rounded to a multiple of 8.
        reduced = max(8, int(out_dim / 4 + 4) // 8 * 8)
        self.excite = SqueezeExcite(out_dim, reduced, "relu") if options.squeeze_excite else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        for each in (self.conv, self.branches, self.widen, self.widen_normed, self.excite):
            x = x if each is None else each(x)
        return x

    def settled(self) -> RepConv:
        """The module of design `folded` that computes the same with the statistics so far."""
        if self.branches is None:
            return self
        plain = RepConv(self.shape[0], replace(self.options, design="folded"), *self.shape[1:])
        like = next(self.parameters())
        plain.to(like.device, like.dtype)
        assert plain.conv is not None
        self.branches.folded().write(plain.conv)
        if plain.widen is not None and self.widen_normed is not None:
            self.widen_normed.folded().write(plain.widen)
        if plain.excite is not None and self.excite is not None:
            plain.excite.load_state_dict(self.excite.state_dict())
        return plain


def _axes(options: RepConvOptions) -> dict[str, tuple[str, ...]]:
    large = [f"large.{i}" for i in range(LARGE_KERNELS[options.design])]
    normed = [f"{branch}.{own}" for branch in [*large, "point"] for own in ("conv", "norm")]
    plain = ("identity", "plain_point", "last_norm", "taken", "scale")
    return {
        "conv": ("in",),
        **{f"branches.{layer}": ("in",) for layer in (*normed, *plain)},
        "widen": ("out", "in"),
        "widen_normed.conv": ("out", "in"),
        "widen_normed.norm": ("out",),
        "excite.reduce": ("squeezed", "out"),
        "excite.expand": ("out", "squeezed"),
    }


MIXERS.register(
    Family(
        "rep_conv",
        RepConvOptions,
        RepConv,
        paper="https://arxiv.org/abs/2206.04040",
        reference="timm.models.fastvit.MobileOneBlock",
        nested=("dim", "kernel"),
        strided=True,
        shortcut=False,
        axes=_axes,
        deployed=lambda options: ("rep_conv", replace(options, design="folded")),
    )
)
