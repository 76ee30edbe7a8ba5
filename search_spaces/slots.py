"""Slots: the places in the networks of a space, and the part for each choice of genes.

The part in a slot depends on a few genes: resolution and stem (the size of the map), the widths
around it, the depth, layout and recursion of its stage and its own gene. `parts.py` lists the
parts of one architecture; this file lists those of all architectures at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from search_spaces.architecture import NO_POSITION, Choice
from search_spaces.data_shape import DataShape
from search_spaces.definition import SpaceDefinition, StageDefinition, flat
from search_spaces.family import Options
from search_spaces.layouts import LAYOUTS, MIXER, PROJECTION, Layout, Place, steps_of
from search_spaces.parts import BETWEEN_RUNS, Part, is_branch
from search_spaces.ramps import along


class OpenSlot(NamedTuple):
    """A slot, and the function from its genes' choices to its part."""

    name: str
    genes: tuple[str, ...]
    part: Callable[..., Part | None]
    """From the choices of the genes, in order and without the depth, to the part."""
    depth: tuple[str, int] | None = None
    """The depth gene and the number of the block; the slot is empty at smaller depths."""


def slots_of(space: SpaceDefinition, data_shape: DataShape) -> Iterator[OpenSlot]:
    """Every slot, in the order in which a network runs.

    If a stage offers layouts of different order, `parts_of` gives the order of each architecture.
    """
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
    if flat(space.position) != [NO_POSITION]:
        yield _position(space)
    for i, stage in enumerate(space.stages):
        if stage.downsampling is not None:
            yield _downsampling(space, i)
        for place in _places(stage):
            yield _along_ramps(_in_block(space, i, place), stage, f"stages.{i}", place)
    yield OpenSlot("head", (*base, f"stages.{last}.width", "head"), head)


def _places(stage: StageDefinition) -> Iterator[Place]:
    """The places of all layouts of a stage in a common order, at its greatest depth."""
    found: dict[Place, None] = {}
    for name in sorted(stage.layout, key=lambda name: -len(LAYOUTS[name].steps)):
        for step in steps_of(LAYOUTS[name], max(stage.depth), max(stage.recursion)):
            found |= dict.fromkeys(step)
    return iter(found)


def _position(space: SpaceDefinition) -> OpenSlot:
    def part(resolution: int, stem: Choice, choice: Choice, width: int = 0) -> Part | None:
        if choice.kind == "none":
            return None
        side, dim = space.side(resolution, stem, 0), space.stem_width or width
        return Part("position", choice, dim, dim, side, 1, space.norm)

    widths = () if space.stem_width else ("stages.0.width",)
    return OpenSlot("position", ("resolution", "stem", "position", *widths), part)


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


def _in_block(space: SpaceDefinition, i: int, place: Place) -> OpenSlot:
    """A place of a block: its part follows from a gene of the block, and those of the stage."""
    if place.kind == PROJECTION:
        return _projection(space, i, place)
    stage, at = space.stages[i], f"stages.{i}"
    opens = stage.strides and place == (0, MIXER, 0)
    stride, after = (stage.stride, i) if opens else (1, i + 1)
    varying, layout_of = _variants(stage, at, place)

    def part(resolution: int, stem: Choice, width: int, choice: Choice, *rest: Any) -> Part | None:
        layout = layout_of.get(() if opens else rest)
        if layout is None or (place.role != MIXER and choice.kind == "none"):
            return None
        in_dim = (rest[0] if rest else _stem_width(space)) if opens else width
        side = space.side(resolution, stem, after)
        branch = place.role != MIXER or is_branch(layout, choice)
        how = (branch, place.again, stage.branch)
        return Part(place.role, choice, in_dim, width, side, stride, space.norm, *how)

    own = f"{at}.blocks.{place.block}.{place.role}"
    before = (f"stages.{i - 1}.width",) if opens and i else ()
    genes = ("resolution", "stem", f"{at}.width", f"{at}.depth", own, *before, *varying)
    return OpenSlot(f"{at}.{place.name}", genes, part, (f"{at}.depth", place.block))


def _along_ramps(slot: OpenSlot, stage: StageDefinition, at: str, place: Place) -> OpenSlot:
    """The same slot; if the stage has ramps, its part follows from them and the depth as well."""
    key = "mixers" if place.role == MIXER else "channel_mixers"
    options = stage.ramps_of(key) if place.kind != PROJECTION else []
    if not options:
        return slot
    own = slot.genes.index(f"{at}.blocks.{place.block}.{place.role}")
    deep = slot.genes.index(f"{at}.depth")

    def part(*choices: Any) -> Part | None:
        found, ramps = list(choices[: -len(options)]), choices[-len(options) :]
        depth = found[deep]
        if depth <= place.block:
            return None
        ramped = dict(zip(options, ramps, strict=True))
        found[own] = along(found[own], ramped, key, place.block, depth)
        del found[deep]  # the slot's own part is that of any depth
        return slot.part(*found)

    genes = (*slot.genes, *(f"{at}.ramps.{key}.{option}" for option in options))
    return OpenSlot(slot.name, genes, part)


def _projection(space: SpaceDefinition, i: int, place: Place) -> OpenSlot:
    """What stands between two runs of a block."""
    at = f"stages.{i}"
    varying, layout_of = _variants(space.stages[i], at, place)

    def part(resolution: int, stem: Choice, width: int, *rest: Any) -> Part | None:
        if rest not in layout_of:
            return None
        side = space.side(resolution, stem, i + 1)
        own = space.stages[i].branch
        return Part(place.role, BETWEEN_RUNS, width, width, side, 1, space.norm, branch=own)

    genes = ("resolution", "stem", f"{at}.width", f"{at}.depth", *varying)
    return OpenSlot(f"{at}.{place.name}", genes, part, (f"{at}.depth", place.block))


def _variants(
    stage: StageDefinition, at: str, place: Place
) -> tuple[tuple[str, ...], dict[tuple[Any, ...], str]]:
    """The genes of a stage that decide whether it has a place, and the layout with each choice.

    Choices of these genes with which the stage does not have the place are left out.
    """
    searched, repeated = len(stage.layout) > 1, stage.recursion != [1]
    genes = (f"{at}.layout",) * searched + (f"{at}.recursion",) * repeated
    return genes, {
        (Choice(layout, Options()),) * searched + (recursion,) * repeated: layout
        for layout in stage.layout
        for recursion in stage.recursion
        if _there(place, LAYOUTS[layout], recursion)
    }


def _there(place: Place, layout: Layout, recursion: int) -> bool:
    """Whether a stage of that layout and recursion has a place, if it is deep enough."""
    if place.kind == PROJECTION:
        return place.run < recursion and place.block % layout.blocks == 0
    return place.run < recursion and any(place.kind in step for step in layout.steps)


def _stem_width(space: SpaceDefinition) -> int:
    assert space.stem_width is not None  # checked with the definition
    return space.stem_width
