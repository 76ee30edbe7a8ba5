"""A space's YAML file, checked: every mistake is reported at once, with its line.

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

A family with lists of options stands for every combination of them; an option that is left out
has its default. `blocks` gives single blocks of a stage their own choices. A stage can also say
its `layout` (one or several of those in `layouts/`) and its `recursion` (how often each block
runs with the same weights, such as [1, 2]) and its `ramps` (`ramps.py`), and a space its
`position` (`positions/`).

Instead of a list, `mixers` can name groups (the folders of `search_spaces/mixers`), leave out
families, and keep expensive ones out of stages with large maps; `mixer_groups.py` explains it:

    mixers:
      groups: [convolution, attention]
      families: [window: {size: [4, 8]}]
      without: [mbconv]
      attention: {most_tokens: 1024}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from search_spaces.architecture import NO_POSITION, Choice, parse_choices
from search_spaces.branches import BranchName
from search_spaces.errors import SpaceError, reason, unknown_name
from search_spaces.family import (
    CHANNEL_MIXERS,
    DOWNSAMPLINGS,
    HEADS,
    MIXERS,
    POSITIONS,
    STEMS,
    Family,
)
from search_spaces.layers import NormName
from search_spaces.layouts import LAYOUTS
from search_spaces.mixer_groups import ShortForms, place_in_file, replace_short_forms
from search_spaces.ramps import Ramp, misfits
from search_spaces.registry import Registry
from search_spaces.yaml_reader import Mistake, read_yaml

Choices = list[Choice]


def _families_of(registry: Registry[Family]) -> PlainValidator:
    """Reads one item of a list of families: all choices that it stands for."""
    return PlainValidator(lambda value: parse_choices(value, registry))


def _listed(value: object) -> object:
    if value == []:
        raise ValueError("is an empty list; give at least one value.")
    return value if isinstance(value, list) else [value]


def _distinct(groups: list[Choices]) -> list[Choices]:
    seen: set[Choice] = set()
    for choice in flat(groups):
        if choice in seen:
            raise ValueError(f"{choice} is listed twice.")
        seen.add(choice)
    return groups


def _layouts(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names a layout twice.")
    alone = [name for name in values if LAYOUTS[name].strides]
    if alone and len(values) > 1:
        raise ValueError(f"Layout '{alone[0]}' cannot be offered together with another one.")
    return values


def _ascending(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names a value twice.")
    return sorted(values)


_LIST = BeforeValidator(_listed)
Mixers = Annotated[
    list[Annotated[Choices, _families_of(MIXERS)]], _LIST, AfterValidator(_distinct)
]
ChannelMixers = Annotated[
    list[Annotated[Choices, _families_of(CHANNEL_MIXERS)]], _LIST, AfterValidator(_distinct)
]
Stems = Annotated[list[Annotated[Choices, _families_of(STEMS)]], _LIST, AfterValidator(_distinct)]
Downsamplings = Annotated[
    list[Annotated[Choices, _families_of(DOWNSAMPLINGS)]], _LIST, AfterValidator(_distinct)
]
Positions = Annotated[
    list[Annotated[Choices, _families_of(POSITIONS)]], _LIST, AfterValidator(_distinct)
]
Heads = Annotated[list[Annotated[Choices, _families_of(HEADS)]], _LIST, AfterValidator(_distinct)]

Layouts = Annotated[list[str], _LIST, AfterValidator(_layouts)]
Positive = Annotated[int, Field(gt=0, strict=True)]
Sizes = Annotated[list[Positive], _LIST, AfterValidator(_ascending)]
Depths = Annotated[
    list[Annotated[int, Field(ge=0, strict=True)]], _LIST, AfterValidator(_ascending)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BlockDefinition(_Strict):
    """Choices of one block that differ from its stage's."""

    mixers: Mixers | None = None
    channel_mixers: ChannelMixers | None = None


class StageDefinition(_Strict):
    """Choices of one stage."""

    width: Sizes
    depth: Depths
    stride: Positive = 1
    layout: Layouts = ["metaformer"]
    recursion: Sizes = [1]
    ramps: dict[str, Annotated[list[Ramp], Field(min_length=1)]] = {}
    branch: BranchName = "scaled"
    downsampling: Downsamplings | None = None
    mixers: Mixers
    channel_mixers: ChannelMixers = [[Choice("none", CHANNEL_MIXERS["none"].options())]]
    reference: str | None = None
    blocks: list[BlockDefinition] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> StageDefinition:
        most = max(self.depth)
        if self.blocks is not None and len(self.blocks) != most:
            raise ValueError(
                f"'blocks' has {len(self.blocks)} entries, but the greatest depth is {most}; "
                "give one for each block."
            )
        problems = self.misfits()
        if problems:
            raise ValueError(" ".join(problems))
        return self

    def misfits(self) -> list[str]:
        """Contradictions between the stage's mixers and its other keys."""
        problems = []
        blocks = range(max(self.depth))
        kinds = sorted({choice.kind for j in blocks for choice in self.mixers_of(j)})
        if self.reference is not None and self.reference not in kinds:
            problems.append(str(unknown_name("reference family", self.reference, kinds)))
        if max(self.recursion) > 1 and (self.strides or min(self.depth) < 1):
            problems.append(
                "A 'recursion' of more than 1 needs a depth >= 1 and a layout other than 'bare', "
                "whose first block strides."
            )
        for name, ramps in self.ramps.items():
            own = self.mixers_of if name.startswith("mixers.") else self.channel_mixers_of
            offered = [choice for j in blocks for choice in own(j)]
            problems += misfits(name, ramps, offered, min(self.depth))
        if self.strides:
            name = self.layout[0]
            first = dict.fromkeys(choice.kind for choice in self.mixers_of(0))
            fixed = [kind for kind in first if not MIXERS[kind].strided]
            if fixed:
                known = ", ".join(family.name for family in MIXERS if family.strided)
                problems.append(
                    f"The first block of layout '{name}' needs mixers that can stride ({known}); "
                    f"{', '.join(fixed)} cannot."
                )
            if self.downsampling is not None:
                problems.append(
                    f"Layout '{name}' takes no 'downsampling': its first block strides."
                )
            if min(self.depth) < 1:
                problems.append(f"Layout '{name}' strides in its first block; depth must be >= 1.")
        return problems

    @property
    def strides(self) -> bool:
        """Whether the first block itself takes the stage's stride and width."""
        return LAYOUTS[self.layout[0]].strides

    @property
    def resizes(self) -> bool:
        """Whether something in the stage can change the size and width of its input."""
        return self.strides or self.downsampling is not None

    def mixers_of(self, block: int) -> Choices:
        """Mixer choices of a block."""
        own = self.blocks[block].mixers if self.blocks else None
        return flat(own if own is not None else self.mixers)

    def ramps_of(self, key: str) -> list[str]:
        """Options of a list, `mixers` or `channel_mixers`, that ramps decide."""
        return [name.partition(".")[2] for name in self.ramps if name.startswith(f"{key}.")]

    def channel_mixers_of(self, block: int) -> Choices:
        """Channel mixer choices of a block."""
        own = self.blocks[block].channel_mixers if self.blocks else None
        return flat(own if own is not None else self.channel_mixers)


class SpaceDefinition(_Strict):
    """The content of a space's file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    norm: NormName = "layer"
    donor: str | None = None
    resolution: Sizes
    stem: Stems
    stem_width: Positive | None = None
    position: Positions = [[NO_POSITION]]
    stages: Annotated[list[StageDefinition], Field(min_length=1)]
    head: Heads = [[Choice("linear", HEADS["linear"].options())]]
    family_weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}

    def side(self, resolution: int, stem: Choice, stages: int) -> int:
        """Side of the map after the stem and a number of stages, in positions, rounded up."""
        side = -(-resolution // getattr(stem.options, "stride", 1))
        for stage in self.stages[:stages]:
            side = -(-side // (stage.stride if stage.resizes else 1))
        return side

    def most_positions(self, stage: int) -> int:
        """Positions of a stage's map at the largest resolution and the smallest stem stride."""
        resolution = max(self.resolution)
        return max(self.side(resolution, stem, stage + 1) ** 2 for stem in flat(self.stem))

    def misfits(self) -> Iterator[Mistake]:
        """Contradictions between stages: the place of each, and what to do."""
        blocks = [(stage, j) for stage in self.stages for j in range(max(stage.depth))]
        kinds = {c.kind for stage, j in blocks for c in stage.mixers_of(j)}
        kinds |= {c.kind for stage, j in blocks for c in stage.channel_mixers_of(j)}
        for kind in self.family_weights:
            if kind not in kinds:
                yield ("family_weights", kind), str(unknown_name("family", kind, kinds))
        known = ", ".join(DOWNSAMPLINGS.names())
        for i, stage in enumerate(self.stages):
            if i > 0 and not stage.resizes:
                yield ("stages", i), f"A later stage needs a 'downsampling'; there are {known}."
            if i == 0 and not stage.resizes and stage.stride != 1:
                yield (
                    ("stages", 0, "stride"),
                    "The first stage has no 'downsampling' that could stride: leave out "
                    f"'stride', or give it a 'downsampling' ({known}).",
                )
            if i == 0 and not stage.resizes and self.stem_width is not None:
                yield (
                    ("stem_width",),
                    "The first stage has no 'downsampling', so its 'width' is the stem's: leave "
                    "out 'stem_width'.",
                )
            if i == 0 and stage.resizes and self.stem_width is None:
                yield (
                    ("stages", 0),
                    "The first stage changes the stem's map, so the space must give 'stem_width'.",
                )


def read_definition(text: str, source: str) -> SpaceDefinition:
    """Check the text of a space's file.

    Args:
        text: YAML.
        source: The file's name in messages.

    Raises:
        SpaceError: naming every mistake with its line and key.
    """
    try:
        document = read_yaml(text)
    except ValueError as error:
        raise SpaceError(f"{source} is not valid YAML: {error}") from None
    if not isinstance(document.data, dict):
        raise SpaceError(f"{source} is not a mapping; a space needs at least name and stages.")
    data, short_forms = replace_short_forms(document.data)
    mistakes = list(document.repeated_keys())
    for form in short_forms.values():
        mistakes += form.mistakes
    try:
        definition = SpaceDefinition.model_validate(data)
        definition, misfits = _within_limits(definition, short_forms)
        mistakes += [*misfits, *definition.misfits()]
    except ValidationError as error:
        found = [(place_in_file(e["loc"], short_forms), _message(e)) for e in error.errors()]
        known = [at for at, form in short_forms.items() if form.mistakes]
        mistakes += [mistake for mistake in found if mistake[0] not in known]
    if mistakes:
        listed = document.report(mistakes)
        raise SpaceError(f"{source} has {len(mistakes)} mistake(s):\n{listed}")
    return definition


def read_file(path: Path) -> SpaceDefinition:
    """Check a space's file; errors as in `read_definition`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(
            f"Cannot read the space {path}: {reason(error)}. `nas spaces` lists those with a name."
        ) from None
    return read_definition(text, str(path))


def flat(groups: list[Choices]) -> Choices:
    """The choices that a list of families stands for, one after the other."""
    return [choice for group in groups for choice in group]


def _within_limits(
    definition: SpaceDefinition, short_forms: ShortForms
) -> tuple[SpaceDefinition, list[Mistake]]:
    """The definition without the mixers whose stage has a larger map than they allow."""
    stages, mistakes = list(definition.stages), list[Mistake]()
    for at, form in short_forms.items():
        i = int(at[1])  # stages, i, [blocks, j,] mixers
        stage, positions = stages[i], definition.most_positions(i)
        block = int(at[3]) if len(at) > 3 else None
        mixers = stage.mixers if block is None else (stage.blocks or [])[block].mixers
        fits = [
            choices
            for choices in mixers or []
            if form.limits.get(choices[0].kind, positions) >= positions
        ]
        if not fits:
            mistakes.append((at, f"offers nothing for this map of {positions} positions."))
        elif block is None:
            stages[i] = stage.model_copy(update={"mixers": fits})
        else:
            blocks = list(stage.blocks or [])
            blocks[block] = blocks[block].model_copy(update={"mixers": fits})
            stages[i] = stage.model_copy(update={"blocks": blocks})
    if not mistakes:
        mistakes = [(("stages", i), what) for i, s in enumerate(stages) for what in s.misfits()]
    return definition.model_copy(update={"stages": stages}), mistakes


def _message(error: Any) -> str:
    """The message for one pydantic error."""
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
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{error['msg']}; it is {error['input']!r}."
