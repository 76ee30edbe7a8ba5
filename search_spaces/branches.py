"""Branches: what stands around the body of a residual branch.

    scaled           x + s f(norm(x))    CaiT, PoolFormer
    plain            x + f(norm(x))      ViT, Swin, PVT v2
    weighted         r x + f(norm(x))    late stages of MetaFormer's baselines
    unnormed_scaled  x + s f(x)          ConvNeXt, InceptionNeXt: f has a norm of its own
    unnormed         x + f(x)            ConvNeXt V2

f is a mixer or a channel mixer; s and r are learned, one number per channel. s is small at first:
every block of a supernet then begins near the identity, whichever family is drawn. On the digits,
random children reached 0.22-0.25 accuracy after two epochs instead of 0.10-0.14. r begins at 1.
Papers: s from CaiT, Touvron et al. 2021, https://arxiv.org/abs/2103.17239 (Section 2); r from
NormFormer, Shleifer et al. 2021, https://arxiv.org/abs/2110.09456 (Section 2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from search_spaces.layers import drop_path, make_norm

SCALE = 0.2
"""What s is at first."""


@dataclass(frozen=True)
class Kind:
    """What a branch has beside its body."""

    norm: bool = True
    scale: bool = False
    weight: bool = False


BranchName = Literal["scaled", "plain", "weighted", "unnormed_scaled", "unnormed"]
BRANCHES: tuple[str, ...] = get_args(BranchName)
KINDS = {
    "scaled": Kind(scale=True),
    "plain": Kind(),
    "weighted": Kind(weight=True),
    "unnormed_scaled": Kind(norm=False, scale=True),
    "unnormed": Kind(norm=False),
}


class Branch(nn.Module):
    """A body with the map that it reads beside it."""

    def __init__(self, dim: int, norm: str, body: nn.Module, kind: str) -> None:
        super().__init__()
        has = KINDS[kind]
        self.norm = make_norm(norm, dim) if has.norm else nn.Identity()
        self.body = body
        self.scale = nn.Parameter(torch.full((dim,), SCALE)) if has.scale else None
        self.weight = nn.Parameter(torch.ones(dim)) if has.weight else None

    def forward(
        self, x: Tensor, drop_path_rate: float = 0.0, read: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); the rate applies to the body.

        A branch that stands beside another one adds to x, but reads another map of its shape.
        """
        y = drop_path(self.body(self.norm(x if read is None else read)), drop_path_rate)
        if self.weight is not None:
            x = x * self.weight[:, None, None]
        return x + y if self.scale is None else torch.addcmul(x, y, self.scale[:, None, None])
