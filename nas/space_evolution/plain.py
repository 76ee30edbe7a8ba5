"""A space's file as plain data: what a definition says, in a form that can be changed and written.

Lists of choices are lists of `{family: {option: [values]}}`, one per item of the file; options
at the default of their family are left out.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from search_spaces.architecture import Choice
from search_spaces.definition import BlockDefinition, SpaceDefinition, StageDefinition

Plain = dict[str, Any]
Group = dict[str, dict[str, list[Any]]]
"""One item of a list of families: its name and the values of its options."""

FAMILY_LISTS = ("stem", "position", "downsampling", "mixers", "channel_mixers", "head")
NOTHING: list[Group] = [{"none": {}}]
"""The positions of a space that offers none."""


def plain_of(definition: SpaceDefinition) -> Plain:
    """All that a definition says."""
    found: Plain = {
        "schema": definition.schema_,
        "name": definition.name,
        "description": definition.description,
        "donor": definition.donor,
        "norm": definition.norm,
        "resolution": list(definition.resolution),
        "stem": _groups(definition.stem),
        "stem_width": definition.stem_width,
        "position": _groups(definition.position),
        "stages": [_stage(stage) for stage in definition.stages],
        "head": _groups(definition.head),
        "family_weights": dict(definition.family_weights),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, "", NOTHING)}


def to_yaml(plain: Plain) -> str:
    """The text of a space's file."""
    return yaml.dump(_short(plain), Dumper=_Dumper, sort_keys=False, width=98)


class _OneLine(dict[str, Any]):
    """What is written `{like: this}`."""


class _Values(list[Any]):
    """What is written `[like, this]`."""


class _Dumper(yaml.SafeDumper):
    """Families and lists of numbers on one line, everything else on lines of their own."""


_Dumper.add_representer(
    _OneLine,
    lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, True),
)
_Dumper.add_representer(
    _Values,
    lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, True),
)


def _stage(stage: StageDefinition) -> Plain:
    found: Plain = {
        "width": list(stage.width),
        "depth": list(stage.depth),
        "stride": stage.stride,
        "layout": list(stage.layout),
        "branch": stage.branch,
        "ramps": {name: [list(ramp) for ramp in each] for name, each in stage.ramps.items()}
        or None,
        "recursion": None if stage.recursion == [1] else list(stage.recursion),
        "downsampling": None if stage.downsampling is None else _groups(stage.downsampling),
        "mixers": _groups(stage.mixers),
        "channel_mixers": _groups(stage.channel_mixers),
        "reference": stage.reference,
        "blocks": None if stage.blocks is None else [_block(block) for block in stage.blocks],
    }
    return {key: value for key, value in found.items() if value is not None}


def _block(block: BlockDefinition) -> Plain:
    lists = {"mixers": block.mixers, "channel_mixers": block.channel_mixers}
    return {key: _groups(value) for key, value in lists.items() if value is not None}


def _groups(groups: list[list[Choice]]) -> list[Group]:
    return [_group(choices) for choices in groups]


def _group(choices: list[Choice]) -> Group:
    """The product of options that one item of a list stands for."""
    options = choices[0].options
    values = {
        field.name: list(dict.fromkeys(getattr(c.options, field.name) for c in choices))
        for field in dataclasses.fields(options)
    }
    default = dataclasses.asdict(type(options)())
    return {
        choices[0].kind: {
            name: listed for name, listed in values.items() if listed != [default[name]]
        }
    }


def _short(value: Any, key: str = "") -> Any:
    """As a person would write it: `pool` for a family without options, 3 for a list of one."""
    if key in FAMILY_LISTS:
        return [_short_group(group) for group in value]
    if isinstance(value, dict):
        return {name: _short(item, name) for name, item in value.items()}
    if isinstance(value, list):
        plain = not any(isinstance(item, dict) for item in value)
        return _Values(value) if plain else [_short(item) for item in value]
    return value


def _short_group(group: Group) -> str | _OneLine:
    ((kind, options),) = group.items()
    short = {name: v[0] if len(v) == 1 else _Values(v) for name, v in options.items()}
    return _OneLine({kind: _OneLine(short)}) if short else kind
