"""Mixers by group: the short form of a `mixers` list in a space's file.

    mixers:
      groups: [convolution, attention]      every family of these groups, with its default options
      families: [window: {size: [4, 8]}]    added to them; replace the same family of a group
      without: [mbconv]                     families or groups to leave out of the groups
      attention: {most_tokens: 1024}        offered only where the map has at most 1024 positions
      window: {most_tokens: 4096}           a family's own limit overrides its group's

A group is a folder of `search_spaces/mixers`. Positions are counted at the largest resolution and
the smallest stride of the stem. A name that is both a group and a family stands for the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.errors import unknown_name
from search_spaces.family import MIXERS
from search_spaces.yaml_reader import Location, Mistake

LISTS = ("groups", "families", "without")
LIMIT = "most_tokens"


@dataclass
class ShortForm:
    """The families that a short form stands for, and their limits."""

    items: list[object] = field(default_factory=list)
    """The equivalent list of families, the `families` first."""
    limits: dict[str, int] = field(default_factory=dict)
    """The largest number of positions at which each family is offered."""
    mistakes: list[Mistake] = field(default_factory=list)


ShortForms = dict[Location, ShortForm]
"""The short forms of a file by the place where each stands."""


def replace_short_forms(data: dict[str, Any]) -> tuple[dict[str, Any], ShortForms]:
    """A file's data with a list of families in place of each short form, and the short forms."""
    forms: ShortForms = {}

    def replaced(owner: object, at: Location) -> object:
        """A stage or block with a list for its mixers."""
        if not isinstance(owner, dict):
            return owner
        mixers, here = owner.get("mixers"), (*at, "mixers")
        if not isinstance(mixers, Mapping) or not any(key in mixers for key in LISTS):
            return owner
        forms[here] = read_short_form(mixers, here)
        return {**owner, "mixers": forms[here].items}

    given = enumerate(_listed(data.get("stages")))
    stages = [replaced(stage, ("stages", i)) for i, stage in given]
    for i, stage in enumerate(stages):
        if isinstance(stage, dict) and isinstance(stage.get("blocks"), list):
            blocks = enumerate(stage["blocks"])
            own = [replaced(block, ("stages", i, "blocks", j)) for j, block in blocks]
            stages[i] = stage | {"blocks": own}
    return data | {"stages": stages} if forms else data, forms


def place_in_file(where: Location, forms: ShortForms) -> Location:
    """Where an item of a list stands in the file: a short form has its list in `families`."""
    for at in forms:
        if where[: len(at)] == at and len(where) > len(at):
            return (*at, "families", *where[len(at) :])
    return where


def read_short_form(mixers: Mapping[Any, Any], at: Location) -> ShortForm:
    """The families that a short form stands for.

    Args:
        mixers: The short form as it is in the file.
        at: Its place in the file, for messages.
    """
    found = ShortForm(items=_listed(mixers.get("families")))
    own = {kind for item in found.items if (kind := _kind(item)) is not None}
    brought = _members(mixers, own, at, found.mistakes)
    found.items += [name for name in brought if name not in own]
    found.limits = _limits(mixers, own | set(brought), at, found.mistakes)
    return found


def _members(
    mixers: Mapping[Any, Any], own: set[str], at: Location, mistakes: list[Mistake]
) -> list[str]:
    """The families of the groups, less those taken away."""
    groups, brought = {family.group for family in MIXERS}, dict[str, None]()
    for i, group in enumerate(map(str, _listed(mixers.get("groups")))):
        if group not in groups:
            wrong = unknown_name("group of mixers", group, groups)
            mistakes.append(((*at, "groups", i), str(wrong)))
        brought |= dict.fromkeys(family.name for family in MIXERS if family.group == group)
    gone: set[str] = set()
    for i, word in enumerate(map(str, _listed(mixers.get("without")))):
        meant = _meant(word, brought)
        if not meant:
            wrong = unknown_name("family or group to leave out", word, _words(brought))
            mistakes.append(((*at, "without", i), str(wrong)))
        if word in own:
            mistakes.append(((*at, "without", i), f"'{word}' is also one of the 'families'."))
        gone |= meant
    return [name for name in brought if name not in gone]


def _limits(
    mixers: Mapping[Any, Any], offered: set[str], at: Location, mistakes: list[Mistake]
) -> dict[str, int]:
    of_groups, of_families = dict[str, int](), dict[str, int]()
    for word, value in mixers.items():
        if word in LISTS:
            continue
        meant, most = _meant(word, offered), _most_tokens(value)
        if not meant:
            wrong = unknown_name("key", str(word), [*LISTS, *_words(offered)])
            mistakes.append(((*at, str(word)), str(wrong)))
        elif most is None:
            what = f"is {value!r}; give {{{LIMIT}: 1024}} or the like, and options in 'families'."
            mistakes.append(((*at, str(word)), what))
        else:
            limits = of_families if meant == {word} else of_groups
            limits |= dict.fromkeys(meant, most)
    return of_groups | of_families


def _most_tokens(value: object) -> int | None:
    """The number in `{most_tokens: 1024}`; None for anything else."""
    if not isinstance(value, Mapping) or set(value) != {LIMIT}:
        return None
    most = value[LIMIT]
    right = isinstance(most, int) and not isinstance(most, bool) and most > 0
    return most if right else None


def _meant(word: object, offered: Collection[str]) -> set[str]:
    """The offered families that a word stands for: those of a group, or the one of that name."""
    return {name for name in offered if word in (name, MIXERS[name].group)}


def _words(offered: Collection[str]) -> Iterator[str]:
    """All words that stand for offered families."""
    yield from offered
    yield from {MIXERS[name].group for name in offered} - set(offered)


def _kind(item: object) -> str | None:
    """The family that an item of a list names; None where it is wrong."""
    names: list[object] = list(item) if isinstance(item, Mapping) else [item]
    name = names[0] if len(names) == 1 else None
    return name if isinstance(name, str) and name in MIXERS else None


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
