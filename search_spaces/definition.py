"""A space as its author writes it: the YAML file, checked, with every mistake reported at once.

    schema: 1
    name: my-space
    resolution: [16, 24]
    stem: [conv: {stride: [2, 1]}]
    stages:
    - width: [16, 32]
      depth: [1, 2, 3]
      mixers: [depthwise: {kernel: [3, 5]}, pool]
      channel_mixers: [none, mlp: {ratio: [1.0, 2.0]}]
    - {width: [32, 64], depth: [1, 2], stride: 2, downsampling: [conv, pool], ...}

A family with lists of options stands for every combination of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

import search_spaces.channel_mixers
import search_spaces.downsampling
import search_spaces.heads
import search_spaces.mixers
import search_spaces.stems  # noqa: F401  (these imports fill the registries)
from search_spaces.architecture import Choice, parse_choices
from search_spaces.errors import SpaceError, unknown_name
from search_spaces.registry import CHANNEL_MIXERS, DOWNSAMPLINGS, HEADS, MIXERS, STEMS, Registry

Choices = list[Choice]


def _reader(registry: Registry) -> Any:
    """The type of a field that lists families of a registry, read one item at a time."""

    def read(value: object) -> Choices:
        return parse_choices(value, registry)

    item = Annotated[Any, PlainValidator(read)]
    return Annotated[
        list[item], BeforeValidator(_listed), Field(min_length=1), AfterValidator(_distinct)
    ]


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _distinct(groups: list[Choices]) -> list[Choices]:
    choices = flat(groups)
    twice = next((c for i, c in enumerate(choices) if c in choices[:i]), None)
    if twice is not None:
        raise ValueError(f"{twice.to_dict()} stands there twice")
    return groups


Sizes = Annotated[list[PositiveInt], BeforeValidator(_listed), Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BlockDefinition(_Strict):
    """Choices of one block, where they differ from its stage's."""

    mixers: _reader(MIXERS) | None = None  # type: ignore[valid-type]
    channel_mixers: _reader(CHANNEL_MIXERS) | None = None  # type: ignore[valid-type]


class StageDefinition(_Strict):
    """Choices of one stage."""

    width: Sizes
    depth: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_listed)]
    stride: PositiveInt = 1
    layout: Literal["metaformer", "bare"] = "metaformer"
    downsampling: _reader(DOWNSAMPLINGS) | None = None  # type: ignore[valid-type]
    mixers: _reader(MIXERS)  # type: ignore[valid-type]
    channel_mixers: _reader(CHANNEL_MIXERS) = [[Choice("none", CHANNEL_MIXERS["none"].options())]]  # type: ignore[valid-type]
    reference: str | None = None
    blocks: list[BlockDefinition] | None = None

    @field_validator("width", "depth")
    @classmethod
    def _ascending(cls, values: list[int]) -> list[int]:
        return _ascending(values)

    @model_validator(mode="after")
    def _consistent(self) -> StageDefinition:
        if self.blocks is not None and len(self.blocks) != max(self.depth):
            raise ValueError(
                f"'blocks' has {len(self.blocks)} entries, but the greatest depth is "
                f"{max(self.depth)}; give one for each block"
            )
        kinds = sorted({c.kind for b in range(max(self.depth)) for c in self.mixers_of(b)})
        if self.reference is not None and self.reference not in kinds:
            raise ValueError(str(unknown_name("reference family", self.reference, kinds)))
        if self.layout == "bare":
            fixed = [kind for kind in kinds if not MIXERS[kind].strided]
            if fixed:
                raise ValueError(f"layout 'bare' needs mixers that can stride; {fixed} cannot")
            if self.downsampling is not None:
                raise ValueError("layout 'bare' takes no 'downsampling': its first block strides")
        return self

    def mixers_of(self, block: int) -> Choices:
        """Mixer choices of a block."""
        own = self.blocks[block].mixers if self.blocks else None
        return flat(own if own is not None else self.mixers)

    def channel_mixers_of(self, block: int) -> Choices:
        """Channel mixer choices of a block."""
        own = self.blocks[block].channel_mixers if self.blocks else None
        return flat(own if own is not None else self.channel_mixers)


class SpaceDefinition(_Strict):
    """All of a space's file."""

    schema_: Literal[1] = Field(alias="schema")
    name: str
    description: str = ""
    norm: Literal["layer", "batch"] = "layer"
    resolution: Sizes
    stem: _reader(STEMS)  # type: ignore[valid-type]
    stem_width: PositiveInt | None = None
    stages: Annotated[list[StageDefinition], Field(min_length=1)]
    head: _reader(HEADS) = [[Choice("linear", HEADS["linear"].options())]]  # type: ignore[valid-type]
    family_weights: dict[str, Annotated[float, Field(gt=0)]] = {}

    @field_validator("resolution")
    @classmethod
    def _ascending(cls, values: list[int]) -> list[int]:
        return _ascending(values)

    @model_validator(mode="after")
    def _consistent(self) -> SpaceDefinition:
        blocks = [(stage, j) for stage in self.stages for j in range(max(stage.depth))]
        kinds = {c.kind for stage, j in blocks for c in stage.mixers_of(j)}
        kinds |= {c.kind for stage, j in blocks for c in stage.channel_mixers_of(j)}
        for kind in self.family_weights:
            if kind not in kinds:
                raise ValueError(str(unknown_name("family in 'family_weights'", kind, kinds)))
        for i, stage in enumerate(self.stages):
            carried = stage.layout == "bare" or stage.downsampling is not None
            if i == 0 and not carried and (self.stem_width is not None or stage.stride != 1):
                raise ValueError(
                    "the first stage has no 'downsampling': leave out 'stem_width' and its "
                    "'stride', or give it a 'downsampling'"
                )
            if i == 0 and carried and self.stem_width is None:
                raise ValueError("the first stage downsamples, so 'stem_width' must be given")
            if i > 0 and not carried:
                known = ", ".join(DOWNSAMPLINGS.names())
                raise ValueError(f"stages[{i}] needs a 'downsampling'; there are {known}")
            if stage.layout == "bare" and min(stage.depth) < 1:
                raise ValueError(f"stages[{i}] strides in its first block; its depth must be >= 1")
        return self


def read_definition(text: str, source: str) -> SpaceDefinition:
    """Check the text of a space's file.

    Args:
        text: YAML.
        source: What to call the file in messages.

    Raises:
        SpaceError: naming every mistake with its line and key.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpaceError(f"{source} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise SpaceError(f"{source} holds no mapping; a space needs at least name and stages.")
    try:
        return SpaceDefinition.model_validate(data)
    except ValidationError as error:
        listed = "\n".join(f"  {_place(node, e['loc'])}: {_message(e)}" for e in error.errors())
        raise SpaceError(f"{source} has {error.error_count()} mistake(s):\n{listed}") from None


def read_file(path: Path) -> SpaceDefinition:
    """Check a space's file; errors as in `read_definition`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"Cannot read the space {path}: {error}") from None
    return read_definition(text, str(path))


def _ascending(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names a value twice")
    return sorted(values)


def flat(groups: list[Choices]) -> Choices:
    """The choices that a list of families stands for, one after the other."""
    return [choice for group in groups for choice in group]


def _place(node: yaml.Node | None, location: tuple[int | str, ...]) -> str:
    """`line 7, stages[0].mixers[1]`: the deepest node that the location leads to."""
    line = node.start_mark.line + 1 if node is not None else 1
    words = ""
    for step in location:
        words += f"[{step}]" if isinstance(step, int) else f".{step}"
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = (node.value[step],) * 2 if step < len(node.value) else None
        if found is None:
            node = None
            continue
        line, node = found[0].start_mark.line + 1, found[1]
    return f"line {line}, {words.lstrip('.') or 'the file'}"


def _message(error: Any) -> str:
    """One pydantic error in our words."""
    if error["type"] == "extra_forbidden":
        *path, key = error["loc"]
        model: Any = SpaceDefinition
        if "blocks" in path:
            model = BlockDefinition
        elif "stages" in path:
            model = StageDefinition
        names = [field.alias or name for name, field in model.model_fields.items()]
        return str(unknown_name("key", str(key), names))
    if error["type"] == "missing":
        return "is missing."
    return str(error["msg"]).removeprefix("Value error, ")
