"""Metaformer: a mixer of positions, then a mixer of channels, each a residual branch.

    y = x + mixer(norm(x))
    z = y + channel_mixer(norm(y))

Paper: MetaFormer, Yu et al. 2021, https://arxiv.org/abs/2111.11418 (Section 3.1)
"""

from __future__ import annotations

from search_spaces.layouts import CHANNEL_MIXER, LAYOUTS, MIXER, Layout

LAYOUTS.register(
    Layout(
        "metaformer",
        "A mixer, then a channel mixer.",
        paper="https://arxiv.org/abs/2111.11418",
        steps=((MIXER,), (CHANNEL_MIXER,)),
    )
)
