"""Mixers by group: which families a short form stands for, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from search_spaces.definition import SpaceDefinition, read_definition
from search_spaces.errors import SpaceError
from search_spaces.family import MIXERS

SPACE = """\
schema: 1
name: mine
resolution: [16, 32]
stem: {conv: {stride: [1, 2]}}
stages:
- width: 16
  depth: [1, 2]
  mixers: &mixers
MIXERS
- {width: 32, depth: 1, stride: 2, downsampling: conv, mixers: *mixers}
"""


def space(*lines: str) -> str:
    """A space of two stages, of maps with up to 1024 and 256 positions, with these mixers."""
    return SPACE.replace("MIXERS", "\n".join(f"    {line}" for line in lines))


def read(*lines: str) -> SpaceDefinition:
    return read_definition(space(*lines), "mine.yaml")


def offered(*lines: str) -> list[list[str]]:
    """The families of each stage."""
    return [
        sorted({choice.kind for choice in stage.mixers_of(0)}) for stage in read(*lines).stages
    ]


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        read_definition(text, "mine.yaml")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def of_group(*groups: str) -> list[str]:
    return sorted(family.name for family in MIXERS if family.group in groups)


@pytest.mark.parametrize("group", sorted({family.group for family in MIXERS}))
def test_a_group_stands_for_its_families_with_their_default_options(group: str) -> None:
    choices = read(f"groups: {group}").stages[0].mixers_of(0)
    assert [choice.kind for choice in choices] == of_group(group)
    assert [choice.options for choice in choices] == [MIXERS[c.kind].options() for c in choices]


def test_groups_add_up() -> None:
    both = of_group("convolution", "linear")
    assert offered("groups: [convolution, linear]") == [both, both]


def test_a_family_named_with_options_replaces_that_of_its_group() -> None:
    stage = read("groups: [convolution]", "families: [depthwise: {kernel: [5, 7]}, pool]").stages[
        0
    ]
    named = [str(choice) for choice in stage.mixers_of(0) if choice.kind == "depthwise"]
    assert named == ["depthwise(kernel=5)", "depthwise(kernel=7)"]
    assert {c.kind for c in stage.mixers_of(0)} == {"pool", *of_group("convolution")}


def test_families_and_whole_groups_can_be_taken_away() -> None:
    rest = sorted(set(of_group("convolution", "attention")) - {"mbconv"})
    assert offered("groups: [convolution, attention]", "without: mbconv")[0] == rest
    short = offered("groups: [convolution, attention]", "without: [attention]")
    assert short[0] == of_group("convolution")


def test_a_limit_of_positions_keeps_a_group_out_of_stages_with_larger_maps() -> None:
    lines = ("groups: [attention, pooling]", "attention: {most_tokens: 1023}")
    assert offered(*lines) == [of_group("pooling"), of_group("attention", "pooling")]
    exactly = ("groups: [attention, pooling]", "attention: {most_tokens: 1024}")
    assert offered(*exactly)[0] == of_group("attention", "pooling")


def test_a_familys_own_limit_goes_before_its_groups_in_any_order() -> None:
    lines = ["window: {most_tokens: 1024}", "attention: {most_tokens: 256}"]
    for limits in (lines, lines[::-1]):
        found = offered("groups: [attention]", *limits)
        assert found == [["window"], of_group("attention")]


def test_a_block_can_have_a_short_form_of_its_own() -> None:
    text = space("groups: [attention]").replace(
        "  depth: [1, 2]",
        "  depth: 2\n  blocks:\n  - {}\n"
        "  - mixers: {groups: [attention, pooling], attention: {most_tokens: 9}}",
    )
    stage = read_definition(text, "mine.yaml").stages[0]
    assert {choice.kind for choice in stage.mixers_of(0)} == set(of_group("attention"))
    assert {choice.kind for choice in stage.mixers_of(1)} == set(of_group("pooling"))


def test_all_mistakes_of_a_short_form_are_reported_together_with_line_and_key() -> None:
    text = space(
        "groups: [convolution, attenton]",
        "families: [pool, window: {size: 5}]",
        "without: [mbcnv, spectral, pool]",
        "convolution: {most_tokens: -1}",
        "depthwise: {kernel: 5}",
        "poool: {most_tokens: 5}",
    ).replace("mixers: *mixers", "mixers: pool")
    starts = [
        "line 9, stages[0].mixers.groups[1]: Unknown group of mixers 'attenton'. Did you mean",
        "line 11, stages[0].mixers.without[0]: Unknown family or group to leave out 'mbcnv'. Did",
        "line 11, stages[0].mixers.without[1]: Unknown family or group to leave out 'spectral'.",
        "line 11, stages[0].mixers.without[2]: Unknown family or group to leave out 'pool'.",
        "line 11, stages[0].mixers.without[2]: 'pool' is also one of the 'families'.",
        "line 12, stages[0].mixers.convolution: is {'most_tokens': -1}; give {most_tokens: 1024}",
        "line 13, stages[0].mixers.depthwise: is {'kernel': 5}; give {most_tokens: 1024} or the",
        "line 14, stages[0].mixers.poool: Unknown key 'poool'. Did you mean 'pool'?",
        "line 10, stages[0].mixers.families[1]: 'window.size' is 5; it can be 4, 7, 8, 14.",
    ]
    for said, start in zip(mistakes(text), starts, strict=True):
        assert said.startswith(start)


@pytest.mark.parametrize("wrong", ["[[pooling]]", "[{pooling: 1}]", "{pooling: 1}", "3", "[null]"])
def test_what_is_no_name_is_a_mistake_like_any_other(wrong: str) -> None:
    assert "Unknown group of mixers" in mistakes(space(f"groups: {wrong}"))[0]
    assert "to leave out" in mistakes(space("groups: [pooling]", f"without: {wrong}"))[0]
    assert mistakes(space("groups: [pooling]", f"families: {wrong}"))


def test_a_stage_that_is_left_without_mixers_is_a_mistake() -> None:
    assert mistakes(space("groups: [attention]", "attention: {most_tokens: 256}")) == [
        "line 8, stages[0].mixers: offers nothing for this map of 1024 positions."
    ]
    empty = mistakes(space("groups: [pooling]", "without: [pooling]"))
    assert empty[0] == "line 8, stages[0].mixers: is an empty list; give at least one value."


def test_a_reference_that_a_limit_takes_away_is_a_mistake() -> None:
    lines = ("groups: [attention, pooling]", "attention: {most_tokens: 256}")
    text = space(*lines).replace("  depth: [1, 2]", "  depth: [1, 2]\n  reference: attention")
    assert mistakes(text) == [
        "line 6, stages[0]: Unknown reference family 'attention'. Known: pool."
    ]
