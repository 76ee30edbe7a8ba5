"""Ramps: an option that changes in a straight line from the first block of a stage to the last.

    value of block j of d = the family's value nearest to first + (last - first) j / (d - 1)

    ramps:
      channel_mixers.ratio: [[1, 4], [2, 2], [4, 1]]      rising, constant, falling
      mixers.kernel: [[3, 7], [7, 3]]

A stage then has one gene for each ramp instead of one option in each block: the choice is among
the pairs of first and last. Blocks still choose their family and its other options. Every family
that the stage offers must have the option and both ends of every ramp among its values, and a
stage has at least two blocks; so each choice gives another network. Of two values equally near,
the less expensive one is taken. Architectures hold what each block got and know nothing of ramps;
the supernet shares a block's weights among all ramps, as among all values of the option.

Papers: Inception Transformer, Si et al. 2022, https://arxiv.org/abs/2205.12956 (frequency ramp:
the share of attention grows with depth); DeLighT, Mehta et al. 2020,
https://arxiv.org/abs/2008.00623 (block-wise scaling: width and depth grow linearly over blocks)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from search_spaces.architecture import Choice
from search_spaces.family import CHANNEL_MIXERS, MIXERS, Family, Value
from search_spaces.registry import Registry

LISTS: dict[str, Registry[Family]] = {"mixers": MIXERS, "channel_mixers": CHANNEL_MIXERS}
"""The lists of a stage whose options can be ramps."""


class Ramp(NamedTuple):
    """The values at both ends of a stage."""

    first: float
    last: float

    def value(self, block: int, depth: int, offered: Sequence[Value]) -> Value:
        """That of a block, among the values that its family offers, the cheapest first."""
        exact = self.first + (self.last - self.first) * block / max(1, depth - 1)
        return min(offered, key=lambda value: abs(float(value) - exact))


def along(choice: Choice, ramps: Mapping[str, Ramp], key: str, block: int, depth: int) -> Choice:
    """A block's choice with the options that ramps decide.

    Args:
        choice: Of the block's gene.
        ramps: By the name of their option.
        key: "mixers" or "channel_mixers".
        block: Number of the block.
        depth: How many blocks the stage has.
    """
    offered = LISTS[key][choice.kind].choices()
    values = {name: ramp.value(block, depth, offered[name]) for name, ramp in ramps.items()}
    return Choice(choice.kind, dataclasses.replace(choice.options, **values))


def without(choice: Choice, options: Sequence[str], key: str) -> Choice:
    """The choice of the block's gene: options that ramps decide have their family's default."""
    default = type(choice.options)()
    had = [name for name in options if name in LISTS[key][choice.kind].choices()]
    values = {name: getattr(default, name) for name in had}
    return Choice(choice.kind, dataclasses.replace(choice.options, **values))


def ends_of(choices: Sequence[Choice], option: str, key: str) -> tuple[Value | None, ...]:
    """An option of the first and the last block; None where a family does not have it."""
    had = [option in LISTS[key][choice.kind].choices() for choice in choices]
    return tuple(getattr(choices[i].options, option) if had[i] else None for i in (0, -1))


def misfits(
    name: str, ramps: Sequence[Ramp], choices: Sequence[Choice], depth: int
) -> Iterator[str]:
    """What keeps a stage from having these ramps.

    Args:
        name: Such as `channel_mixers.ratio`.
        ramps: All that the stage offers.
        choices: What the list offers in any block.
        depth: The least number of blocks.
    """
    key, _, option = name.partition(".")
    if key not in LISTS or not option:
        known = " or ".join(f"{each}.OPTION" for each in LISTS)
        yield f"Ramp '{name}' names no option of a list; write {known}."
        return
    if len(set(ramps)) < len(ramps):
        yield f"Ramp '{name}' has a pair twice."
    if depth < 2:
        yield f"Ramp '{name}' needs at least two blocks; give depths >= 2."
    for kind in dict.fromkeys(choice.kind for choice in choices):
        offered = LISTS[key][kind].choices().get(option, ())
        if not offered or any(isinstance(value, (str, bool)) for value in offered):
            yield f"Ramp '{name}': '{kind}' has no such option that is a number; leave it out."
            continue
        ends = {end for ramp in ramps for end in ramp}
        if missing := sorted(end for end in ends if end not in offered):
            known = ", ".join(map(str, offered))
            yield f"Ramp '{name}' has {missing[0]:g}, but '{kind}.{option}' can be {known}."
    changed = [choice for choice in choices if without(choice, [option], key) != choice]
    if changed:
        yield f"Ramp '{name}' decides this option; leave it out of {changed[0]}."
