"""Sandwich: a mixer between two channel mixers.

    y = x + f(norm(x)),  z = y + mixer(norm(y)),  out = z + g(norm(z))

f and g are channel mixers of one kind and one width with weights of their own. EfficientViT puts
a depthwise convolution before each; the channel mixer `depthwise_mlp` has one inside. Without
channel mixer a block is its mixer alone.
Paper: EfficientViT, Liu et al. 2023, https://arxiv.org/abs/2305.07027 (Section 3.1, Equation 1
with N = 1)
"""

from __future__ import annotations

from search_spaces.layouts import BEFORE, CHANNEL_MIXER, LAYOUTS, MIXER, Layout

LAYOUTS.register(
    Layout(
        "sandwich",
        "A mixer between two channel mixers.",
        paper="https://arxiv.org/abs/2305.07027",
        steps=((BEFORE,), (MIXER,), (CHANNEL_MIXER,)),
    )
)
