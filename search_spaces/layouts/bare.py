"""Bare: mixers that bring norms and shortcuts of their own, such as MBConv.

    y = mixer(x)             a block that strides or changes the width
    y = x + mixer(x)         any other; a mixer that cannot stride is a branch as in `metaformer`

The first block takes the stage's stride and width, so a bare stage has no downsampling.
Paper: MobileNetV2, Sandler et al. 2018, https://arxiv.org/abs/1801.04381 (Section 3.4)
"""

from __future__ import annotations

from search_spaces.layouts import CHANNEL_MIXER, LAYOUTS, MIXER, Layout

LAYOUTS.register(
    Layout(
        "bare",
        "Mixers that can stride, without a branch around them.",
        paper="https://arxiv.org/abs/1801.04381",
        steps=((MIXER,), (CHANNEL_MIXER,)),
        strides=True,
    )
)
