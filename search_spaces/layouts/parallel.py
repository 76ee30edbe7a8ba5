"""Parallel: a mixer and a channel mixer side by side.

    y = x + mixer(norm(x)) + channel_mixer(norm(x))

The two norms have weights of their own, so the same weights run in layout `metaformer` as well.
Paper: ViT-22B, Dehghani et al. 2023, https://arxiv.org/abs/2302.05442 (Section 2)
"""

from __future__ import annotations

from search_spaces.layouts import CHANNEL_MIXER, LAYOUTS, MIXER, Layout

LAYOUTS.register(
    Layout(
        "parallel",
        "A mixer and a channel mixer side by side.",
        paper="https://arxiv.org/abs/2302.05442",
        steps=((MIXER, CHANNEL_MIXER),),
    )
)
