"""GLU mixing: a gated perceptron over channels in the place of attention.

    y = W_3 (LN(a(W_1 x)) * LN(W_2 x))        x, y: (B, C, H, W)

Both norms have the same weights. Positions are not mixed: a network needs other parts for that,
such as the convolutions of its channel mixers or of its downsampling.
Elastic: channels and hidden channels (leading).
Paper: Activator, Abdullah and Aydin 2024, https://arxiv.org/abs/2405.15953 (Section 3), with the
authors' code
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.family import MIXERS, Family, Options, choice
from search_spaces.layers import maps, tokens

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


@dataclass(frozen=True)
class GLUOptions(Options):
    """Expansion, activation of the gate (ReGLU, GEGLU, SwiGLU)."""

    expand: int = choice(1, 2)
    activation: str = choice("relu", "gelu", "silu", default="gelu")


class GLU(nn.Module):
    """Activator's gating unit."""

    def __init__(self, dim: int, options: GLUOptions) -> None:
        super().__init__()
        hidden = dim * options.expand
        self.activation: nn.Module = ACTIVATIONS[options.activation]()
        self.gate = nn.Linear(dim, hidden)
        self.value = nn.Linear(dim, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        t = tokens(x)
        y = self.norm(self.activation(self.gate(t))) * self.norm(self.value(t))
        return maps(self.project(y), *x.shape[2:])


MIXERS.register(
    Family(
        "glu",
        GLUOptions,
        GLU,
        paper="https://arxiv.org/abs/2405.15953",
        nested=(),  # the norm averages over the hidden channels
    )
)
