"""Codes of a space as architectures, and back.

    [3, 0, 1, 2, ...]  <->  Architecture(resolution=24, stem=..., stages=(...))

A code has one number per gene: the position of what is chosen among the gene's choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import NO_POSITION, Architecture, Block, Choice, Stage
from search_spaces.definition import SpaceDefinition
from search_spaces.errors import SpaceError
from search_spaces.family import Options
from search_spaces.genes import Gene
from search_spaces.ramps import Ramp, along, ends_of, without


class Coding:
    """The architectures of a definition by their genes."""

    def __init__(self, definition: SpaceDefinition, genes: Sequence[Gene]) -> None:
        self._definition, self._genes = definition, tuple(genes)
        self._place = {gene.name: i for i, gene in enumerate(genes)}

    @lru_cache(maxsize=4096)  # noqa: B019  (a space lives as long as its supernet)
    def architecture(self, code: tuple[int, ...]) -> Architecture:
        """The architecture of a canonical code."""

        def chosen(name: str) -> Choice:
            gene = self._place[name]
            choice: Choice = self._genes[gene].choices[code[gene]]
            return choice

        def number(name: str) -> int:
            gene = self._place[name]
            return int(self._genes[gene].choices[code[gene]])

        stages = []
        for i, stage in enumerate(self._definition.stages):
            at = f"stages.{i}"
            depth = number(f"{at}.depth")
            blocks = tuple(
                Block(chosen(f"{at}.blocks.{j}.mixer"), chosen(f"{at}.blocks.{j}.channel_mixer"))
                for j in range(depth)
            )
            if stage.ramps:
                blocks = tuple(self._ramped(i, code, j, b) for j, b in enumerate(blocks))
            layout, recursion = f"{at}.layout", f"{at}.recursion"
            stages.append(
                Stage(
                    number(f"{at}.width"),
                    stage.stride,
                    chosen(layout).kind if layout in self._place else stage.layout[0],
                    chosen(f"{at}.downsampling") if stage.downsampling else None,
                    blocks,
                    number(recursion) if recursion in self._place else stage.recursion[0],
                    stage.branch,
                )
            )
        return Architecture(
            resolution=number("resolution"),
            norm=self._definition.norm,
            stem=chosen("stem"),
            stem_width=self._definition.stem_width or stages[0].width,
            stages=tuple(stages),
            head=chosen("head"),
            position=chosen("position") if "position" in self._place else NO_POSITION,
        )

    def _ramps_of(self, i: int, key: str) -> list[str]:
        """Options of a list that ramps decide in stage i; none beyond the space's stages."""
        stages = self._definition.stages
        return stages[i].ramps_of(key) if i < len(stages) else []

    def _ramped(self, i: int, code: tuple[int, ...], j: int, block: Block) -> Block:
        """A block of stage i with the options that the stage's ramps decide."""
        stage = self._definition.stages[i]
        depth = stage.depth[code[self._place[f"stages.{i}.depth"]]]

        def found(key: str, choice: Choice) -> Choice:
            options: dict[str, Ramp] = {}
            for name in self._ramps_of(i, key):
                gene = self._place[f"stages.{i}.ramps.{key}.{name}"]
                options[name] = self._genes[gene].choices[code[gene]]
            return along(choice, options, key, j, depth)

        return Block(found("mixers", block.mixer), found("channel_mixers", block.channel_mixer))

    def code(self, architecture: Architecture) -> NDArray[np.int16]:
        """The code that names every choice of an architecture, (genes,).

        Raises:
            SpaceError: a gene does not offer what the architecture has there.
        """
        values = self._values(architecture)
        code = np.zeros(len(self._genes), dtype=np.int16)
        for i, gene in enumerate(self._genes):
            if gene.name in values:
                if values[gene.name] not in gene.choices:
                    raise SpaceError(
                        f"Architecture {architecture.id} is not in '{self._definition.name}': its "
                        f"{gene.name} is {values[gene.name]}, which the space does not offer."
                    )
                code[i] = gene.choices.index(values[gene.name])
        return code

    def _values(self, architecture: Architecture) -> dict[str, object]:
        """What the architecture has, by the name of a gene."""
        values: dict[str, object] = {
            "resolution": architecture.resolution,
            "stem": architecture.stem,
            "head": architecture.head,
            "position": architecture.position,
        }
        for i, stage in enumerate(architecture.stages):
            values[f"stages.{i}.width"] = stage.width
            values[f"stages.{i}.depth"] = len(stage.blocks)
            values[f"stages.{i}.downsampling"] = stage.downsampling
            values[f"stages.{i}.layout"] = Choice(stage.layout, Options())
            values[f"stages.{i}.recursion"] = stage.recursion
            for key, role in (("mixers", "mixer"), ("channel_mixers", "channel_mixer")):
                chosen: list[Choice] = [getattr(block, role) for block in stage.blocks]
                ramped = self._ramps_of(i, key) if chosen else []
                for name in ramped:
                    values[f"stages.{i}.ramps.{key}.{name}"] = ends_of(chosen, name, key)
                for j, choice in enumerate(chosen):
                    values[f"stages.{i}.blocks.{j}.{role}"] = without(choice, ramped, key)
        return values
