"""Slots: the places in the networks of a space, and the part for each choice of genes.

The part in a slot depends on a few genes: resolution and stem (the size of the map), the widths
around it, the depth of its stage and its own gene. `parts.py` lists the parts of one architecture;
this file lists those of all architectures at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from search_spaces.architecture import Choice
from search_spaces.data_shape import DataShape
from search_spaces.definition import SpaceDefinition
from search_spaces.parts import Part, is_branch


class OpenSlot(NamedTuple):
    """A slot, and the function from its genes' choices to its part."""

    name: str
    genes: tuple[str, ...]
    part: Callable[..., Part | None]
    """From the choices of the genes, in order and without the depth, to the part."""
    depth: tuple[str, int] | None = None
    """The depth gene and the number of the block; the slot is empty at smaller depths."""


def slots_of(space: SpaceDefinition, data_shape: DataShape) -> Iterator[OpenSlot]:
    """Every slot, in the order in which a network runs."""
    base = ("resolution", "stem")
    last = len(space.stages) - 1
    fixed = space.stem_width

    def stem(resolution: int, choice: Choice, width: int = 0) -> Part:
        stride: int = getattr(choice.options, "stride", 1)
        dim = fixed or width
        return Part("stem", choice, data_shape.channels, dim, resolution, stride, space.norm)

    def head(resolution: int, stem_choice: Choice, width: int, choice: Choice) -> Part:
        side = space.side(resolution, stem_choice, last + 1)
        return Part("head", choice, width, data_shape.classes, side, 1, space.norm)

    yield OpenSlot("stem", base if fixed else (*base, "stages.0.width"), stem)
    for i, stage in enumerate(space.stages):
        if stage.downsampling is not None:
            yield _downsampling(space, i)
        for j in range(max(stage.depth)):
            yield _mixer(space, i, j)
            yield _channel_mixer(space, i, j)
    yield OpenSlot("head", (*base, f"stages.{last}.width", "head"), head)


def _downsampling(space: SpaceDefinition, i: int) -> OpenSlot:
    stride = space.stages[i].stride

    def part(resolution: int, stem: Choice, *rest: object) -> Part:
        dims: list[int] = [d for d in rest if isinstance(d, int)]
        (choice,) = (c for c in rest if isinstance(c, Choice))
        in_dim = dims[0] if i else _stem_width(space)
        side = space.side(resolution, stem, i)
        return Part("downsampling", choice, in_dim, dims[-1], side, stride, space.norm)

    widths = (f"stages.{i - 1}.width",) if i else ()
    genes = ("resolution", "stem", *widths, f"stages.{i}.width", f"stages.{i}.downsampling")
    return OpenSlot(f"stages.{i}.downsampling", genes, part)


def _mixer(space: SpaceDefinition, i: int, j: int) -> OpenSlot:
    stage = space.stages[i]
    opens = stage.layout == "bare" and j == 0
    stride = stage.stride if opens else 1

    def part(resolution: int, stem: Choice, width: int, choice: Choice, before: int = 0) -> Part:
        in_dim = (before or _stem_width(space)) if opens else width
        side = space.side(resolution, stem, i if opens else i + 1)
        branch = is_branch(stage.layout, choice)
        return Part("mixer", choice, in_dim, width, side, stride, space.norm, branch, stage.branch)

    name = f"stages.{i}.blocks.{j}.mixer"
    before = (f"stages.{i - 1}.width",) if opens and i else ()
    return OpenSlot(name, (*_block_genes(i), name, *before), part, (f"stages.{i}.depth", j))


def _channel_mixer(space: SpaceDefinition, i: int, j: int) -> OpenSlot:
    def part(resolution: int, stem: Choice, width: int, choice: Choice) -> Part | None:
        if choice.kind == "none":
            return None
        side = space.side(resolution, stem, i + 1)
        branch = space.stages[i].branch
        return Part("channel_mixer", choice, width, width, side, 1, space.norm, branch=branch)

    name = f"stages.{i}.blocks.{j}.channel_mixer"
    return OpenSlot(name, (*_block_genes(i), name), part, (f"stages.{i}.depth", j))


def _block_genes(i: int) -> tuple[str, ...]:
    return "resolution", "stem", f"stages.{i}.width", f"stages.{i}.depth"


def _stem_width(space: SpaceDefinition) -> int:
    assert space.stem_width is not None  # checked with the definition
    return space.stem_width
