"""A space's file: every mistake is reported, together with the others, with line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import load_space
from search_spaces.definition import read_definition
from search_spaces.errors import SpaceError
from search_spaces.family import STEMS

GOOD = """\
schema: 1
name: mine
resolution: [16, 8]
stem: conv
stages:
- width: [16, 8]
  depth: [2, 1]
  mixers: [depthwise: {kernel: [3, 5]}, pool]
- width: 32
  depth: 2
  stride: 2
  downsampling: [conv, pool]
  mixers: attention
"""


def mistakes(text: str) -> list[str]:
    """The lines that say what is wrong with a file."""
    with pytest.raises(SpaceError) as caught:
        read_definition(text, "mine.yaml")
    first, *rest = str(caught.value).splitlines()
    assert first == f"mine.yaml has {len(rest)} mistake(s):"
    return [line.strip() for line in rest]


def test_numbers_are_put_in_order_and_single_values_become_lists() -> None:
    definition = read_definition(GOOD, "mine.yaml")
    assert definition.resolution == [8, 16]
    assert definition.stages[0].width == [8, 16]
    assert definition.stages[0].depth == [1, 2]
    assert definition.stages[1].width == [32]
    assert [str(choice) for choice in definition.stages[0].mixers_of(0)] == [
        "depthwise(kernel=3)",
        "depthwise(kernel=5)",
        "pool(size=3)",
    ]
    assert [str(choice) for choice in definition.stages[0].channel_mixers_of(0)] == ["none"]


def test_a_block_may_have_choices_of_its_own() -> None:
    text = GOOD + "  blocks:\n  - {mixers: pool}\n  - {channel_mixers: [none, glu]}\n"
    stage = read_definition(text, "mine.yaml").stages[1]
    assert [str(choice) for choice in stage.mixers_of(0)] == ["pool(size=3)"]
    assert [str(choice) for choice in stage.mixers_of(1)] == ["attention(head_dim=16)"]
    assert [str(choice) for choice in stage.channel_mixers_of(1)] == ["none", "glu(ratio=2.0)"]


def test_all_mistakes_of_a_file_are_reported_together_with_line_and_key() -> None:
    text = """\
schema: 1
name: bad
name: twice
resolution: [8, 8]
stem: convv
stages:
- width: [true, -1]
  depth: []
  mixers: [depthwise: {kernel: [3, 4]}, pool, pool]
  colour: red
- width: 8
  depth: 1
  layout: bare
  mixers: [pool]
  downsampling: conv
  reference: attn
- depth: 2
  blocks: [{mixer: pool}]
  mixers: [{a: 1, b: 2}, depthwise: 3, depthwise: {kern: 3}]
"""
    assert mistakes(text) == [
        "line 2, name: stands here and on line 3; keep one of them.",
        "line 4, resolution: [8, 8] names a value twice.",
        "line 5, stem[0]: Unknown stem 'convv'. Did you mean 'conv'? "
        f"Known: {', '.join(sorted(STEMS.names()))}.",
        "line 7, stages[0].width[0]: Input should be a valid integer; it is True.",
        "line 7, stages[0].width[1]: Input should be greater than 0; it is -1.",
        "line 8, stages[0].depth: is an empty list; give at least one value.",
        "line 9, stages[0].mixers[0]: 'depthwise.kernel' is 4; it can be 3, 5, 7, 9, 11.",
        "line 10, stages[0].colour: Unknown key 'colour'. Known: blocks, branch, channel_mixers, "
        "depth, downsampling, layout, mixers, ramps, recursion, reference, stride, width.",
        "line 11, stages[1]: Unknown reference family 'attn'. Known: pool. The first "
        "block of layout 'bare' needs mixers that can stride (identity, mbconv, rep_conv); pool "
        "cannot. Layout 'bare' takes no 'downsampling': its first block strides.",
        "line 17, stages[2].width: is missing.",
        "line 19, stages[2].mixers[0]: {'a': 1, 'b': 2} is no mixer family; write a name, or one "
        "name with its options, such as {window: {...}}.",
        "line 19, stages[2].mixers[1]: The options of 'depthwise' are 3; they must be a mapping.",
        "line 19, stages[2].mixers[2]: Unknown option of 'depthwise' 'kern'. Did you mean "
        "'kernel'? Known: kernel.",
        "line 18, stages[2].blocks[0].mixer: Unknown key 'mixer'. Did you mean 'mixers'? "
        "Known: channel_mixers, mixers.",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema: 1", "schema: 2", "line 1, schema: Input should be 1; it is 2."),
        ("schema: 1\n", "", "line 1, schema: is missing."),
        ("resolution: [16, 8]", "resolution: 1e9", "line 3, resolution[0]: Input should be a val"),
        ("stages:", "stagse:", "line 5, stagse: Unknown key 'stagse'. Did you mean 'stages'?"),
        ("name: mine", "name: ''", "line 2, name: String should have at least 1 character"),
        ("attention", "attentoin", "line 13, stages[1].mixers[0]: Unknown mixer family 'attent"),
        ("attention", "[]", "line 13, stages[1].mixers: is an empty list; give at"),
        (
            "attention",
            "{attention: {head_dim: []}}",
            "line 13, stages[1].mixers[0]: 'attention.head_dim' is an empty list; give at least",
        ),
        (
            "pool]\n-",
            "pool: {size: 3}, pool]\n-",
            "line 8, stages[0].mixers: pool(size=3) is listed",
        ),
        ("stride: 2", "stride: 0", "line 11, stages[1].stride: Input should be greater than 0"),
        ("stride: 2", "blocks: [{}]", "line 9, stages[1]: 'blocks' has 1 entries, but the great"),
        (
            "  downsampling: [conv, pool]\n",
            "",
            "line 9, stages[1]: A later stage needs a 'downsampling'; there are conv, unnormed",
        ),
        (
            "- width: [16, 8]",
            "- stride: 2\n  width: 8",
            "line 6, stages[0].stride: The first stage has no 'downsampling' that could stride",
        ),
        (
            "stem: conv",
            "stem: conv\nstem_width: 8",
            "line 5, stem_width: The first stage has no 'downsampling', so its 'width' is the st",
        ),
        (
            "  depth: [2, 1]",
            "  depth: 1\n  downsampling: conv",
            "line 6, stages[0]: The first stage changes the stem's map, so the space must give",
        ),
        (
            "stem: conv",
            "stem: conv\nfamily_weights: {poool: 2}",
            "line 5, family_weights.poool: Unknown family 'poool'. Did you mean 'pool'? ",
        ),
        (
            "stem: conv",
            "stem: conv\nfamily_weights: {pool: -1}",
            "line 5, family_weights.pool: Input should be greater than 0; it is -1.",
        ),
        (
            "  depth: [2, 1]\n  mixers: [depthwise: {kernel: [3, 5]}, pool]",
            "  depth: [0, 1]\n  layout: bare\n  mixers: identity",
            "line 6, stages[0]: Layout 'bare' strides in its first block; depth must be >= 1.",
        ),
    ],
)
def test_a_mistake_is_reported_with_line_and_key(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1
    said = mistakes(GOOD.replace(old, new))
    assert any(line.startswith(message) for line in said), said


def test_keys_merged_from_an_anchor_may_be_overridden() -> None:
    anchored = GOOD.replace("- width: [16, 8]", "- &first\n  width: [16, 8]")
    text = anchored + "- {<<: *first, width: 64, downsampling: conv}\n"
    assert read_definition(text, "mine.yaml").stages[2].width == [64]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "mine.yaml is not valid YAML: while parsing"),
        ("name: 2020-99-99", "mine.yaml is not valid YAML: month must be in 1..12"),
        ("5", "mine.yaml is not a mapping; a space needs at least name and stages."),
        ("", "mine.yaml is not a mapping; a space needs at least name and stages."),
    ],
)
def test_text_that_holds_no_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        read_definition(text, "mine.yaml")
    assert str(caught.value).startswith(message)


def test_a_recursive_alias_is_a_mistake_like_any_other() -> None:
    said = mistakes(GOOD.replace("attention", "&again [*again]"))
    assert said[0].startswith("line 13, stages[1].mixers[0]: [[...]] is no mixer family;")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"Cannot read the space .*none\.yaml: .*No such file"):
        load_space(tmp_path / "none.yaml")
    with pytest.raises(SpaceError, match="Cannot read the space .*: .*Is a directory"):
        load_space(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match=r"Cannot read the space .*bytes\.yaml: .*decode"):
        load_space(tmp_path / "bytes.yaml")


def test_a_space_loads_from_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(GOOD)
    assert load_space(tmp_path / "mine.yml").name == "mine"
    assert load_space(str(tmp_path / "mine.yml")).name == "mine"
