"""MBConv: expand the channels, filter each on its own, squeeze and excite, project back.

    y = W_out * se(a(DW_k * a(W_in * x)))        x: (B, C, H, W), y: (B, C', H/s, W/s)

With expand 1 there is no W_in, as in MobileNetV2's first block. Squeeze-excite reduces to a
sixteenth of the hidden channels (at least 4) with a ReLU; with `input` to a quarter of the block's
input channels with the block's activation, as EfficientNet does.
Elastic: channels and hidden channels (leading), kernel (centre window).
Papers: MobileNetV2, Sandler et al. 2018, https://arxiv.org/abs/1801.04381 (Section 3.3);
squeeze-excite as in EfficientNet, Tan and Le 2019, https://arxiv.org/abs/1905.11946
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import depthwise, make_activation


@dataclass(frozen=True)
class MBConvOptions(Options):
    """Kernel, expansion, squeeze-excite, norm and activation inside."""

    kernel: int = choice(3, 5, 7, unit="px", meaning="depthwise kernel")
    expand: int = choice(1, 2, 3, 4, 6, default=2)
    squeeze_excite: bool | str = choice(False, True, "input")
    norm: str = choice("none", "batch")
    activation: str = choice("gelu", "relu", "relu6", "silu")


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the map's mean."""

    def __init__(self, dim: int, reduced: int, activation: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(dim, reduced, 1)
        self.activation = make_activation(activation)
        self.expand = nn.Conv2d(reduced, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate = self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class MBConv(nn.Module):
    """Inverted bottleneck without its residual connection, which the block adds."""

    def __init__(
        self, dim: int, options: MBConvOptions, out_dim: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        hidden, out_dim = dim * options.expand, out_dim or dim
        bias = options.norm == "none"

        def norm(channels: int) -> nn.Module:
            return nn.Identity() if bias else nn.BatchNorm2d(channels)

        self.expand = nn.Conv2d(dim, hidden, 1, bias=bias) if options.expand > 1 else None
        self.norm1 = norm(hidden) if options.expand > 1 else nn.Identity()
        self.depthwise = depthwise(hidden, options.kernel, stride, bias)
        self.norm2 = norm(hidden)
        self.excite: nn.Module = nn.Identity()
        if options.squeeze_excite == "input":
            self.excite = SqueezeExcite(hidden, max(1, dim // 4), options.activation)
        elif options.squeeze_excite:
            self.excite = SqueezeExcite(hidden, max(4, hidden // 16), "relu")
        self.project = nn.Conv2d(hidden, out_dim, 1, bias=bias)
        self.norm3 = norm(out_dim)
        self.activation = make_activation(options.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride)."""
        if self.expand is not None:
            x = self.activation(self.norm1(self.expand(x)))
        x = self.activation(self.norm2(self.depthwise(x)))
        y: Tensor = self.norm3(self.project(self.excite(x)))
        return y


def _axes(options: MBConvOptions) -> dict[str, tuple[str, ...]]:
    hidden = "hidden" if options.expand > 1 else "in"
    return {
        "expand": (hidden, "in"),
        "norm1": (hidden,),
        "depthwise": (hidden,),
        "norm2": (hidden,),
        "excite.reduce": ("squeezed", hidden),
        "excite.expand": (hidden, "squeezed"),
        "project": ("out", hidden),
        "norm3": ("out",),
    }


MIXERS.register(
    Family(
        "mbconv",
        MBConvOptions,
        MBConv,
        paper="https://arxiv.org/abs/1801.04381",
        reference="timm.models._efficientnet_blocks.InvertedResidual",
        nested=("dim", "kernel", "expand"),
        strided=True,
        axes=_axes,
    )
)
