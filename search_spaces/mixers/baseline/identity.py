"""Identity: no mixing; if the width or the size changes, a strided 1x1 convolution.

    y = x        or, with another width or a stride,        y = BN(W * x[::s, ::s])

Elastic: channels (leading).
Papers: MetaFormer baselines, Yu et al. 2022, https://arxiv.org/abs/2210.13452 (IdentityFormer);
as a searchable layer NAS-Bench-Macro, Su et al. 2021, https://arxiv.org/abs/2103.11922
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options


@dataclass(frozen=True)
class IdentityOptions(Options):
    """Nothing to choose."""


class Identity(nn.Module):
    """The map itself, or its strided projection."""

    def __init__(
        self, dim: int, options: IdentityOptions, out_dim: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        out_dim = out_dim or dim
        self.project = (
            None
            if stride == 1 and out_dim == dim
            else nn.Sequential(
                nn.Conv2d(dim, out_dim, 1, stride, bias=False), nn.BatchNorm2d(out_dim)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride)."""
        if self.project is None:
            return x
        y: Tensor = self.project(x)
        return y


MIXERS.register(
    Family(
        "identity",
        IdentityOptions,
        Identity,
        paper="https://arxiv.org/abs/2210.13452",
        nested=("dim",),
        strided=True,
        shortcut=False,
        axes=lambda options: {"project.0": ("out", "in"), "project.1": ("out",)},
    )
)
