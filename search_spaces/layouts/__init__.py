"""Layouts: in which order the blocks of a stage run their mixers and channel mixers.

    metaformer   x + mixer(x), then x + channel mixer(x)
    sandwich     channel mixer, mixer, channel mixer
    parallel     x + mixer(x) + channel mixer(x)
    paired       the mixers of two blocks side by side, then their channel mixers
    bare         mixers that can stride, without a branch around them

A layout is a list of steps. The parts of one step read the same map, and the map gets the sum of
what they give; a step reads what the step before it gave. Layouts change no weight, so a supernet
shares the weights of a block among all layouts of its stage.

To add one, add a file here that ends in `LAYOUTS.register(Layout(...))`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from search_spaces.registry import Registry

MIXER, CHANNEL_MIXER = "mixer", "channel_mixer"
BEFORE = "channel_mixer_before"
"""The block's channel mixer once more, ahead of its mixer and with weights of its own."""
PROJECTION = "projection"
"""What stands between two runs of a block that runs several times (`recursion`)."""


@dataclass(frozen=True)
class Layout:
    """An order of the parts of a block."""

    name: str
    summary: str
    paper: str
    steps: tuple[tuple[str, ...], ...]
    """Places of a block, step by step."""
    blocks: int = 1
    """How many blocks run each step side by side."""
    strides: bool = False
    """Whether the first block's mixer takes the stage's stride and width itself."""


class Place(NamedTuple):
    """A place in a stage: of a block, in its first run (0) or a later one."""

    block: int
    kind: str
    run: int = 0

    @property
    def name(self) -> str:
        """Its name below the stage's."""
        again = f"again.{self.run}." if self.run else ""
        return f"blocks.{self.block}.{again}{self.kind}"

    @property
    def role(self) -> str:
        """The role of the part in it."""
        return MIXER if self.kind == MIXER else CHANNEL_MIXER

    @property
    def again(self) -> bool:
        """Whether its part has the weights of the same part in the first run."""
        return self.run > 0 and self.kind != PROJECTION


LAYOUTS: Registry[Layout] = Registry("layout", "search_spaces.layouts")


def steps_of(layout: Layout, depth: int, recursion: int = 1) -> Iterator[list[Place]]:
    """The places of a stage in the order in which they run, step by step.

    With a recursion of R, each block (in `paired` each pair of blocks) runs R times with the same
    weights. Between two runs stands a projection with weights of its own, an MLP whose hidden
    width is that of the map, so that equal weights do not have to do the same twice.
    Paper: Sliced Recursive Transformer, Shen et al. 2021, https://arxiv.org/abs/2111.05297
    (sections on recursion and on the non-linear projection layer)
    """
    for first in range(0, depth, layout.blocks):
        blocks = range(first, min(first + layout.blocks, depth))
        for run in range(recursion):
            if run:
                yield [Place(first, PROJECTION, run)]
            for step in layout.steps:
                yield [Place(block, kind, run) for kind in step for block in blocks]
