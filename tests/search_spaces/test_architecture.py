"""Architectures: text forms, ids, and what is said about wrong ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

from search_spaces import Architecture, load_space, space_names
from search_spaces.errors import SpaceError
from search_spaces.layers import NORMS

TEXT = """
schema: 1
resolution: 16
norm: layer
stem: {conv: {stride: 2, activation: gelu}}
stem_width: 24
stages:
- width: 24
  stride: 1
  layout: metaformer
  blocks:
  - {mixer: {depthwise: {kernel: 5}}, channel_mixer: {mlp: {ratio: 2}}}
- width: 32
  stride: 2
  layout: metaformer
  downsampling: {pool: {}}
  blocks:
  - {mixer: pool, channel_mixer: none}
head: linear
"""


def architectures() -> list[Architecture]:
    rng = np.random.default_rng(0)
    spaces = [load_space(name) for name in space_names()]
    return [space.decode(code) for space in spaces for code in space.sample(8, rng)]


def refused(text: str, *messages: str) -> str:
    with pytest.raises(SpaceError) as caught:
        Architecture.from_yaml(text)
    said = str(caught.value)
    for message in messages:
        assert message in said
    return said


def test_an_architecture_survives_yaml_json_and_dictionaries() -> None:
    for architecture in architectures():
        assert Architecture.from_yaml(architecture.to_yaml()) == architecture
        assert Architecture.from_yaml(architecture.to_json()) == architecture
        assert Architecture.from_dict(json.loads(architecture.to_json())) == architecture
        assert architecture.to_dict()["schema"] == 1


def test_an_id_is_twelve_hexadecimal_digits_of_the_canonical_form() -> None:
    for architecture in architectures():
        assert re.fullmatch("[0-9a-f]{12}", architecture.id)
        assert Architecture.from_yaml(architecture.to_yaml()).id == architecture.id


def test_an_id_does_not_depend_on_how_the_file_was_written() -> None:
    shuffled = json.dumps(dict(reversed(yaml.safe_load(TEXT).items())))
    spelled = TEXT.replace("ratio: 2", "ratio: 2.0").replace("pool,", "{pool: {size: 3}},")
    ids = {Architecture.from_yaml(text).id for text in (TEXT, shuffled, spelled)}
    assert len(ids) == 1
    assert Architecture.from_yaml(TEXT.replace("kernel: 5", "kernel: 3")).id not in ids


def test_an_id_does_not_depend_on_the_space() -> None:
    space = load_space("hybrid-tiny")
    narrow = space.restrict(space.genes[0].choices[0])
    architecture = narrow.decode(narrow.smallest())
    assert space.decode(space.encode(architecture)).id == architecture.id


def test_reading_an_architecture_needs_no_other_import() -> None:
    code = f"from search_spaces import Architecture; Architecture.from_yaml('''{TEXT}''')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_schema_version_is_refused_before_anything_else() -> None:
    refused(
        TEXT.replace("schema: 1", "schema: 2").replace("norm: layer", "norm: none"),
        "This architecture has schema 2; this version reads 1. Use the version that wrote it.",
    )


def test_text_that_is_no_yaml_is_refused() -> None:
    refused("a: [", "This architecture is not valid YAML: while parsing")
    refused("a: 2020-99-99", "This architecture is not valid YAML: month must be in 1..12")


def test_all_mistakes_of_a_file_are_named_together() -> None:
    text = (
        TEXT.replace("resolution: 16", "resolution: -16")
        .replace("norm: layer", "norm: layr")
        .replace("stem_width: 24", "stem_width: null\ncolour: red")
        .replace("kernel: 5", "kernel: 6")
        .replace("mlp:", "mpl:")
        .replace("width: 32", "widht: 32")
        .replace("head: linear", "head: {conv: {width: [320, 640]}}")
    )
    said = refused(
        text,
        "This architecture cannot be read:",
        "  line 3, resolution: is -16; it must be a positive whole number.",
        f"  line 4, norm: is 'layr'; it can be {', '.join(NORMS)}.",
        "  line 6, stem_width: is missing.",
        "  line 7, colour: Unknown key 'colour'.",
        "  line 13, stages[0].blocks[0].mixer: 'depthwise.kernel' is 6; it can be 3, 5, 7, 9, 11.",
        "  line 13, stages[0].blocks[0].channel_mixer: Unknown channel mixer 'mpl'. Did you mean",
        "  line 14, stages[1].width: is missing.",
        "  line 14, stages[1].widht: Unknown key 'widht'. Did you mean 'width'?",
        "  line 20, head: leaves 2 choices open; give one.",
    )
    assert said.count("\n") == 9


@pytest.mark.parametrize("key", ["schema", "resolution", "norm", "stem", "stages", "head"])
def test_a_missing_key_is_named(key: str) -> None:
    data = yaml.safe_load(TEXT)
    del data[key]
    assert refused(yaml.safe_dump(data)).splitlines()[1:] == [f"  line 1, {key}: is missing."]


def test_plain_data_has_places_without_lines() -> None:
    data = yaml.safe_load(TEXT.replace("kernel: 5", "kernel: 6"))
    with pytest.raises(SpaceError) as caught:
        Architecture.from_dict(data)
    assert str(caught.value).splitlines()[1:] == [
        "  stages[0].blocks[0].mixer: 'depthwise.kernel' is 6; it can be 3, 5, 7, 9, 11."
    ]


def test_a_key_that_stands_twice_is_refused() -> None:
    refused(TEXT + "norm: batch\n", "line 4, norm: stands here and on line 20; keep one of them.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file: is []; it must be a mapping."),
        (TEXT.replace("pool, channel_mixer", "3, channel_mixer"), "3 is no mixer family; write"),
        (TEXT.replace("{kernel: 5}", "5"), "The options of 'depthwise' are 5; they must be a map"),
        (TEXT.replace("{kernel: 5}", "{k: 5}"), "Unknown option of 'depthwise' 'k'."),
        (TEXT.replace("{kernel: 5}", "{kernel: []}"), "'depthwise.kernel' is an empty list; give"),
        (re.sub("(?s)stages:.*head", "stages: 3\nhead", TEXT), "stages: is 3; it must be a list."),
        (re.sub("(?s)stages:.*head", "stages: []\nhead", TEXT), "stages: is empty; a network"),
        (re.sub("(?s)stages:.*head", "stages: [3]\nhead", TEXT), "stages[0]: is 3; it must be a"),
        (TEXT.replace("resolution: 16", "resolution: true"), "resolution: is True; it must be a"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_place(text: str, message: str) -> None:
    refused(text, message)


def test_stages_that_do_not_fit_together_are_refused() -> None:
    refused(
        TEXT.replace("  downsampling: {pool: {}}\n", ""),
        "stages[1]: without downsampling its stride is 1 and its width 24, that of the map "
        "before; they are 2 and 32.",
    )
    refused(TEXT.replace("stem_width: 24", "stem_width: 16"), "stages[0]: without downsampling")
    bare = TEXT.replace("stride: 2\n  layout: metaformer", "stride: 2\n  layout: bare")
    refused(
        bare,
        "stages[1]: layout bare needs a first block whose mixer can stride; pool cann",
        "stages[1]: layout bare takes no downsampling.",
    )
    refused(
        re.sub(r"(?s)blocks:\n  - .mixer: pool.*head", "blocks: []\nhead", bare),
        "stages[1]: layout bare needs a first block",
    )
