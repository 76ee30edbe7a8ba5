"""Paired: two blocks side by side.

    y = x + mixer_1(norm(x)) + mixer_2(norm(x))
    z = y + channel_mixer_1(norm(y)) + channel_mixer_2(norm(y))

A wider and half as deep network of the same size. Blocks 1 and 2 of a stage are a pair, then 3 and
4; the last one of an odd number runs alone.
Paper: Three things everyone should know about vision transformers, Touvron et al. 2022,
https://arxiv.org/abs/2203.09795 (Section 3, Equation 2)
"""

from __future__ import annotations

from search_spaces.layouts import CHANNEL_MIXER, LAYOUTS, MIXER, Layout

LAYOUTS.register(
    Layout(
        "paired",
        "Two blocks side by side: first their mixers, then their channel mixers.",
        paper="https://arxiv.org/abs/2203.09795",
        steps=((MIXER,), (CHANNEL_MIXER,)),
        blocks=2,
    )
)
