"""An architecture: one frozen, canonical point of a space, and its text forms.

    resolution: 32
    stem: {conv: {stride: 1, activation: none}}
    stages:
    - width: 24
      stride: 1
      blocks:
      - {mixer: {depthwise: {kernel: 5}}, channel_mixer: {mlp: {ratio: 2.0}}}

Equal architectures have equal dictionaries. The `id` is a hash of the dictionary, so it does not
depend on the space that an architecture came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from search_spaces.branches import BRANCHES
from search_spaces.errors import SpaceError, unknown_name
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    POSITIONS,
    STEMS,
    Family,
    Options,
)
from search_spaces.layers import NORMS
from search_spaces.layouts import LAYOUTS
from search_spaces.registry import Registry
from search_spaces.yaml_reader import Location, place, read_yaml

SCHEMA = 1


@dataclass(frozen=True)
class Choice:
    """A family by name, with all its options decided."""

    kind: str
    options: Options

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """A mapping from the kind to its options; see `Options.said`."""
        return {self.kind: self.options.said()}

    def __str__(self) -> str:
        """`depthwise(kernel=5)`, for messages."""
        options = ", ".join(f"{k}={v}" for k, v in self.options.said().items())
        return f"{self.kind}({options})" if options else self.kind


@dataclass(frozen=True)
class Block:
    """A mixer of positions and a mixer of channels."""

    mixer: Choice
    channel_mixer: Choice


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; with `downsampling` None, the stage keeps the size of its input.

    In a layout that strides (`bare`) the first block itself takes the stage's stride and width.
    """

    width: int
    stride: int
    layout: str
    downsampling: Choice | None
    blocks: tuple[Block, ...]
    recursion: int = 1
    """How often each block runs, one run after the other with the same weights."""
    branch: str = "scaled"
    """What stands around the residual branches."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a recursion of 1 and the default branch are left out."""
        found: dict[str, Any] = {
            "width": self.width,
            "stride": self.stride,
            "layout": self.layout,
            "downsampling": self.downsampling and self.downsampling.to_dict(),
            "blocks": [
                {"mixer": block.mixer.to_dict(), "channel_mixer": block.channel_mixer.to_dict()}
                for block in self.blocks
            ],
        }
        if self.recursion != 1:
            found["recursion"] = self.recursion
        if self.branch != "scaled":
            found["branch"] = self.branch
        return found


NO_POSITION = Choice("none", Options())


@dataclass(frozen=True)
class Architecture:
    """A network, except for the channels of the images and the number of classes."""

    resolution: int
    norm: str
    stem: Choice
    stem_width: int
    stages: tuple[Stage, ...]
    head: Choice
    position: Choice = NO_POSITION

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits; equal architectures have equal ids."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON or YAML; without position if there is none."""
        found: dict[str, Any] = {
            "schema": SCHEMA,
            "resolution": self.resolution,
            "norm": self.norm,
            "stem": self.stem.to_dict(),
            "stem_width": self.stem_width,
            "stages": [stage.to_dict() for stage in self.stages],
            "head": self.head.to_dict(),
        }
        if self.position.kind != "none":
            found["position"] = self.position.to_dict()
        return found

    def to_yaml(self) -> str:
        """The text that `from_yaml` reads."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=98)

    def to_json(self) -> str:
        """The architecture as JSON, which `from_yaml` reads as well."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, data: object) -> Architecture:
        """Read what `to_dict` wrote.

        Raises:
            SpaceError: naming every mistake with its place.
        """
        return _Reader(place).architecture(data)

    @classmethod
    def from_yaml(cls, text: str) -> Architecture:
        """Read YAML or JSON text; errors as in `from_dict`, with the line of each mistake."""
        try:
            document = read_yaml(text)
        except ValueError as error:
            raise SpaceError(f"This architecture is not valid YAML: {error}") from None
        reader = _Reader(document.place)
        for where, what in document.repeated_keys():
            reader.wrong(where, what)
        return reader.architecture(document.data)


class _Reader:
    """Reads an architecture's dictionary and gathers all mistakes before it refuses it."""

    def __init__(self, place: Callable[[Location], str]) -> None:
        """`place` puts a location into words."""
        self.problems: list[str] = []
        self._place = place

    def wrong(self, where: Location, what: str) -> None:
        self.problems.append(f"{self._place(where)}: {what}")

    def architecture(self, data: object) -> Architecture:
        if isinstance(data, Mapping) and data.get("schema", SCHEMA) != SCHEMA:
            raise SpaceError(
                f"This architecture has schema {data['schema']!r}; this version reads {SCHEMA}. "
                "Use the version that wrote it."
            )
        keys = ("schema", "resolution", "norm", "stem", "stem_width", "stages", "head")
        top = self.mapping(data, (), keys, ("position",))
        position = top.get("position")
        stages = tuple(
            self.stage(item, ("stages", i))
            for i, item in enumerate(self.items(top.get("stages"), ("stages",)))
        )
        architecture = Architecture(
            resolution=self.positive(top.get("resolution"), ("resolution",)),
            norm=self.one_of(top.get("norm"), NORMS, ("norm",)),
            stem=self.choice(top.get("stem"), STEMS, ("stem",)),
            stem_width=self.positive(top.get("stem_width"), ("stem_width",)),
            stages=stages,
            head=self.choice(top.get("head"), HEADS, ("head",)),
            position=NO_POSITION
            if position is None
            else self.choice(position, POSITIONS, ("position",)),
        )
        if top.get("stages") == []:
            self.wrong(("stages",), "is empty; a network needs at least one.")
        if not self.problems:
            self.fit(architecture)
        if self.problems:
            listed = "\n".join(f"  {problem}" for problem in self.problems)
            raise SpaceError(f"This architecture cannot be read:\n{listed}")
        return architecture

    def stage(self, data: object, where: Location) -> Stage:
        keys = ("width", "stride", "layout", "blocks")
        stage = self.mapping(data, where, keys, ("downsampling", "recursion", "branch"))
        down, at = stage.get("downsampling"), (*where, "downsampling")
        blocks = self.items(stage.get("blocks"), (*where, "blocks"))
        return Stage(
            width=self.positive(stage.get("width"), (*where, "width")),
            stride=self.positive(stage.get("stride"), (*where, "stride")),
            layout=self.one_of(stage.get("layout"), LAYOUTS.names(), (*where, "layout")),
            downsampling=None if down is None else self.choice(down, DOWNSAMPLINGS, at),
            blocks=tuple(self.block(b, (*where, "blocks", i)) for i, b in enumerate(blocks)),
            recursion=self.positive(stage.get("recursion", 1), (*where, "recursion")),
            branch=self.one_of(stage.get("branch", "scaled"), BRANCHES, (*where, "branch")),
        )

    def block(self, data: object, where: Location) -> Block:
        block = self.mapping(data, where, ("mixer", "channel_mixer"))
        mixer, channel_mixer = block.get("mixer"), block.get("channel_mixer")
        return Block(
            mixer=self.choice(mixer, MIXERS, (*where, "mixer")),
            channel_mixer=self.choice(channel_mixer, CHANNEL_MIXERS, (*where, "channel_mixer")),
        )

    def fit(self, architecture: Architecture) -> None:
        """Check that each stage can take the map that the stage before it gives."""
        width = architecture.stem_width
        for i, stage in enumerate(architecture.stages):
            where = ("stages", i)
            if LAYOUTS[stage.layout].strides:
                kinds = [block.mixer.kind for block in stage.blocks[:1]]
                fixed = ", ".join(kind for kind in kinds if not MIXERS[kind].strided)
                if fixed or not stage.blocks:
                    which = f"; {fixed} cannot" if fixed else ""
                    needs = f"layout {stage.layout} needs a first block whose mixer can stride"
                    self.wrong(where, f"{needs}{which}.")
                if stage.downsampling is not None:
                    self.wrong(where, f"layout {stage.layout} takes no downsampling.")
            elif stage.downsampling is None and (stage.stride, stage.width) != (1, width):
                self.wrong(
                    where,
                    f"without downsampling its stride is 1 and its width {width}, that "
                    f"of the map before; they are {stage.stride} and {stage.width}.",
                )
            width = stage.width

    def mapping(
        self, data: object, where: Location, keys: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        if not isinstance(data, Mapping):
            self.wrong(where, f"is {data!r}; it must be a mapping.")
            return {}
        for key in data:
            if key not in keys and key not in optional:
                self.wrong((*where, str(key)), str(unknown_name("key", str(key), keys + optional)))
        for key in keys:
            if data.get(key) is None:
                self.wrong((*where, key), "is missing.")
        return data

    def items(self, data: object, where: Location) -> list[object]:
        if isinstance(data, list):
            return data
        if data is not None:
            self.wrong(where, f"is {data!r}; it must be a list.")
        return []

    def positive(self, value: object, where: Location) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if value is not None:
            self.wrong(where, f"is {value!r}; it must be a positive whole number.")
        return 1

    def one_of(self, value: object, known: tuple[str, ...], where: Location) -> str:
        if value is not None and value not in known:
            self.wrong(where, f"is {value!r}; it can be {', '.join(known)}.")
        return str(value)

    def choice(self, data: object, registry: Registry[Family], where: Location) -> Choice:
        choices: list[Choice] = []
        if data is not None:
            try:
                choices = parse_choices(data, registry)
            except SpaceError as error:
                self.wrong(where, str(error))
            else:
                if len(choices) > 1:
                    self.wrong(where, f"leaves {len(choices)} choices open; give one.")
        return choices[0] if choices else Choice("", Options())


def parse_choices(data: object, registry: Registry[Family]) -> list[Choice]:
    """The choices that `pool` or `{depthwise: {kernel: [3, 5]}}` stands for.

    Raises:
        SpaceError: unknown family, option or value.
    """
    kind: object
    values: object
    if isinstance(data, str):
        kind, values = data, {}
    elif isinstance(data, Mapping) and len(data) == 1:
        kind, values = next(iter(data.items()))
        values = {} if values is None else values
    else:
        raise SpaceError(
            f"{data!r} is no {registry.kind}; write a name, or one name with its options, "
            f"such as {{{registry.names()[-1]}: {{...}}}}."
        )
    try:
        family = registry[str(kind)]
    except ValueError as error:
        raise SpaceError(str(error)) from None
    if not isinstance(values, Mapping):
        raise SpaceError(f"The options of '{kind}' are {values!r}; they must be a mapping.")
    return [Choice(family.name, options) for options in family.parse(values)]
