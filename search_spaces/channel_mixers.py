"""Channel mixers: the part of a block that mixes the channels of each position.

    mlp            y = W_2 a(W_1 x)                          hidden = ratio * C
    batch_mlp      y = BN(W_2 a(BN(W_1 x)))                  deployed as mlp; RepViT
    depthwise_mlp  y = W_2 a(DW_3(W_1 x))                    PVT v2
    star_mlp       y = W_2 star(W_1 x)                       without biases; ConvFormer
    glu            y = W_2 (a(W_g x) . W_v x)                hidden = 2/3 ratio * C
    conv_glu       y = W_2 (a(DW_3(W_g x)) . W_v x)          hidden = 2/3 ratio * C, TransNeXt

x, y: (B, C, H, W). The gated kinds take two thirds of the hidden width so that equal ratios cost
about the same. With `none` a block has neither a channel mixer nor the norm before it.
Elastic: channels and hidden channels (leading).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.family import CHANNEL_MIXERS, Family, Options, choice
from search_spaces.folding import Kernel
from search_spaces.layers import PointwiseLinear, StarReLU, depthwise


@dataclass(frozen=True)
class RatioOptions(Options):
    """Hidden width over width."""

    ratio: float = choice(
        0.5, 1.0, 2.0, 3.0, 3.5, 4.0, 6.0, 8.0, default=2.0, meaning="hidden ratio"
    )


@dataclass(frozen=True)
class NoneOptions(Options):
    """Nothing to choose."""


class NoChannelMixer(nn.Module):
    """No channel mixer: the block mixes positions only."""

    def __init__(self, dim: int, options: NoneOptions) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """The map itself."""
        return x


class MLP(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio)
        self.expand = PointwiseLinear(dim, hidden)
        self.project = PointwiseLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(F.gelu(self.expand(x)))
        return y


class BatchMLP(nn.Module):
    """Two matrices with a batch norm each, around a GELU."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio)
        self.options = options
        self.expand = PointwiseLinear(dim, hidden, bias=False)
        self.expand_norm = nn.BatchNorm2d(hidden)
        self.project = PointwiseLinear(hidden, dim, bias=False)
        self.project_norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = F.gelu(self.expand_norm(self.expand(x)))
        y = self.project_norm(self.project(y))
        return y

    def settled(self) -> MLP:
        """The MLP that computes the same with the statistics so far."""
        weight = self.expand.weight
        plain = MLP(self.expand.in_features, self.options).to(weight.device, weight.dtype)
        Kernel.of(self.expand).then(self.expand_norm).write(plain.expand)
        Kernel.of(self.project).then(self.project_norm).write(plain.project)
        return plain


class StarMLP(nn.Module):
    """Two matrices around a StarReLU."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio)
        self.expand = PointwiseLinear(dim, hidden, bias=False)
        self.activation = StarReLU()
        self.project = PointwiseLinear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(self.activation(self.expand(x)))
        return y


class DepthwiseMLP(nn.Module):
    """An MLP that looks at the 3x3 neighbourhood of its hidden channels."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio)
        self.expand = PointwiseLinear(dim, hidden)
        self.depthwise = depthwise(hidden, 3)
        self.project = PointwiseLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(F.gelu(self.depthwise(self.expand(x))))
        return y


class GLU(nn.Module):
    """A linear layer gated by another one."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio * 2 / 3)
        self.gate = PointwiseLinear(dim, hidden)
        self.value = PointwiseLinear(dim, hidden)
        self.project = PointwiseLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(F.gelu(self.gate(x)) * self.value(x))
        return y


class ConvGLU(nn.Module):
    """A GLU whose gate looks at its 3x3 neighbourhood."""

    def __init__(self, dim: int, options: RatioOptions) -> None:
        super().__init__()
        hidden = _hidden(dim, options.ratio * 2 / 3)
        self.gate = PointwiseLinear(dim, hidden)
        self.depthwise = depthwise(hidden, 3)
        self.value = PointwiseLinear(dim, hidden)
        self.project = PointwiseLinear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y: Tensor = self.project(F.gelu(self.depthwise(self.gate(x))) * self.value(x))
        return y


def _hidden(dim: int, ratio: float) -> int:
    return max(1, int(dim * ratio))


CHANNEL_MIXERS.register(
    Family(
        "none",
        NoneOptions,
        NoChannelMixer,
        paper="https://arxiv.org/abs/2405.15953",
        nested=("dim",),
    )
)


def _axes(options: RatioOptions) -> dict[str, tuple[str, ...]]:
    return {
        "expand": ("hidden", "in"),
        "expand_norm": ("hidden",),
        "project_norm": ("out",),
        "gate": ("hidden", "in"),
        "value": ("hidden", "in"),
        "depthwise": ("hidden",),
        "project": ("out", "hidden"),
    }


CHANNEL_MIXERS.register(
    Family(
        "mlp",
        RatioOptions,
        MLP,
        paper="https://arxiv.org/abs/2010.11929",
        reference="timm.layers.Mlp",
        nested=("dim", "ratio"),
        axes=_axes,
    )
)
CHANNEL_MIXERS.register(
    Family(
        "batch_mlp",
        RatioOptions,
        BatchMLP,
        paper="https://arxiv.org/abs/2307.09283",
        reference="timm.models.repvit.RepVitMlp",
        nested=("dim", "ratio"),
        axes=_axes,
        deployed=lambda options: ("mlp", options),
    )
)
CHANNEL_MIXERS.register(
    Family(
        "star_mlp",
        RatioOptions,
        StarMLP,
        paper="https://arxiv.org/abs/2210.13452",
        nested=("dim", "ratio"),
        axes=_axes,
    )
)
CHANNEL_MIXERS.register(
    Family(
        "depthwise_mlp",
        RatioOptions,
        DepthwiseMLP,
        paper="https://arxiv.org/abs/2106.13797",
        reference="timm.models.pvt_v2.MlpWithDepthwiseConv",
        nested=("dim", "ratio"),
        axes=_axes,
    )
)
CHANNEL_MIXERS.register(
    Family(
        "glu",
        RatioOptions,
        GLU,
        paper="https://arxiv.org/abs/2002.05202",
        reference="timm.layers.SwiGLU",
        nested=("dim", "ratio"),
        axes=_axes,
    )
)
CHANNEL_MIXERS.register(
    Family(
        "conv_glu",
        RatioOptions,
        ConvGLU,
        paper="https://arxiv.org/abs/2311.17132",
        nested=("dim", "ratio"),
        axes=_axes,
    )
)
