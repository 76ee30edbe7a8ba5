"""The dimensions of a space: every list of values in its file that could be longer or shorter.

    resolution, stages.1.width, stages.1.depth       numbers
    stages.1.mixers.depthwise.kernel                 an option of a family, cheapest first
    stages.1.mixers, stem, stages.1.downsampling     which families

A list that several blocks share is one dimension: an architecture holds each of its values in so
many of those blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.search.protocol import Codes, Floats
from nas.space_evolution.plain import FAMILY_LISTS, Group, plain_of
from search_spaces import SearchSpace
from search_spaces.architecture import Choice
from search_spaces.definition import Choices
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    POSITIONS,
    STEMS,
    Value,
)

Path = tuple[str | int, ...]
_REGISTRIES = dict(
    zip(
        FAMILY_LISTS,
        (STEMS, POSITIONS, DOWNSAMPLINGS, MIXERS, CHANNEL_MIXERS, HEADS),
        strict=True,
    )
)


@dataclass(frozen=True)
class Dimension:
    """One list of at least two values."""

    name: str
    path: Path
    """Where the list stands in the space's plain data."""
    values: tuple[Any, ...]
    """Numbers, options, or items of a list of families."""
    labels: tuple[str, ...]
    ordered: bool
    """Whether a trend over the values means anything."""
    offered: tuple[Value, ...] | None
    """All values that the family has for this option, cheapest first; None for other lists."""
    columns: tuple[tuple[int, NDArray[np.int64]], ...]
    """Genes that decide it, each with the value that a choice of it stands for, -1 for none."""

    def holds(self, codes: Codes, active: NDArray[np.bool_]) -> Floats:
        """In how many places each architecture has each value, (n, values).

        Args:
            active: Which genes decide anything, (n, genes).
        """
        counts = np.zeros((len(codes), len(self.values)))
        for gene, value_of in self.columns:
            chosen = value_of[codes[:, gene]]
            rows = np.flatnonzero(active[:, gene] & (chosen >= 0))
            counts[rows, chosen[rows]] += 1.0
        return counts


def dimensions(space: SearchSpace) -> list[Dimension]:
    """All dimensions of a space, in the order of its file."""
    return [dimension for dimension in _all(space) if len(dimension.values) > 1]


def _all(space: SearchSpace) -> Iterator[Dimension]:
    definition, plain = space.definition, plain_of(space.definition)
    genes = {gene.name: i for i, gene in enumerate(space.genes)}

    def numbers(name: str, path: Path, values: list[int]) -> Dimension:
        columns = ((genes[name], np.arange(len(values))),)
        labels = tuple(map(str, values))
        return Dimension(name, path, tuple(values), labels, True, None, columns)

    def choices_of(gene: str) -> tuple[Any, ...]:
        return space.genes[genes[gene]].choices

    def listed(path: Path, parsed: list[Choices], items: list[Group], names: list[str]) -> Any:
        columns = [(genes[name], choices_of(name)) for name in names]
        return _families(path, parsed, items, columns)

    yield numbers("resolution", ("resolution",), definition.resolution)
    yield from listed(("stem",), definition.stem, plain["stem"], ["stem"])
    if "position" in genes:
        yield from listed(("position",), definition.position, plain["position"], ["position"])
    for i, stage in enumerate(definition.stages):
        at, own = f"stages.{i}", plain["stages"][i]
        root: Path = ("stages", i)
        yield numbers(f"{at}.width", (*root, "width"), stage.width)
        yield numbers(f"{at}.depth", (*root, "depth"), stage.depth)
        if len(stage.recursion) > 1:
            yield numbers(f"{at}.recursion", (*root, "recursion"), stage.recursion)
        if stage.downsampling is not None:
            name = f"{at}.downsampling"
            yield from listed(
                (*root, "downsampling"), stage.downsampling, own["downsampling"], [name]
            )
        for key, gene in (("mixers", "mixer"), ("channel_mixers", "channel_mixer")):
            shared = []
            for j in range(max(stage.depth)):
                name = f"{at}.blocks.{j}.{gene}"
                block = stage.blocks[j] if stage.blocks else None
                parsed = getattr(block, key) if block else None
                if parsed is None:
                    shared.append(name)
                else:
                    path = (*root, "blocks", j, key)
                    yield from listed(path, parsed, own["blocks"][j][key], [name])
            yield from listed((*root, key), getattr(stage, key), own[key], shared)
    yield from listed(("head",), definition.head, plain["head"], ["head"])


def _families(
    path: Path,
    parsed: list[Choices],
    items: list[Group],
    columns: list[tuple[int, tuple[Choice, ...]]],
) -> Iterator[Dimension]:
    """Which items of a list of families, then the options of each."""
    if not columns:
        return
    name = ".".join(map(str, path))
    kinds = [next(iter(item)) for item in items]
    alike = len(set(kinds)) < len(kinds)
    titles = [str(group[0]) if alike else kind for group, kind in zip(parsed, kinds, strict=True)]
    yield Dimension(
        name,
        path,
        tuple(range(len(items))),
        tuple(titles),
        False,
        None,
        _columns(columns, lambda choice: _index(parsed, choice)),
    )
    for number, (item, kind, title) in enumerate(zip(items, kinds, titles, strict=True)):
        offered = _REGISTRIES[str(path[-1])][kind].choices()
        for option, values in item[kind].items():
            values = sorted(values, key=offered[option].index)
            yield Dimension(
                f"{name}.{title}.{option}",
                (*path, number, kind, option),
                tuple(values),
                tuple(map(str, values)),
                not isinstance(values[0], (bool, str)),
                offered[option],
                _columns(columns, _option_of(parsed[number], option, values)),
            )


def _columns(
    columns: list[tuple[int, tuple[Choice, ...]]], value_of: Callable[[Choice], int]
) -> tuple[tuple[int, NDArray[np.int64]], ...]:
    return tuple(
        (gene, np.array([value_of(choice) for choice in choices])) for gene, choices in columns
    )


def _index(groups: list[Choices], choice: Choice) -> int:
    return next((i for i, group in enumerate(groups) if choice in group), -1)


def _option_of(group: Choices, option: str, values: list[Any]) -> Callable[[Choice], int]:
    def value_of(choice: Choice) -> int:
        return values.index(getattr(choice.options, option)) if choice in group else -1

    return value_of
