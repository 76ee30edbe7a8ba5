"""A file's data, and the line of each key."""

from __future__ import annotations

import pytest

from search_spaces.yaml_reader import place, read_yaml

TEXT = """\
name: mine
stages:
- &first
  width: 8
  mixers: [pool, window]
- <<: *first
  width: 16
"""


def test_data_is_what_the_file_holds() -> None:
    second = {"width": 16, "mixers": ["pool", "window"]}
    assert read_yaml(TEXT).data == {"name": "mine", "stages": [second | {"width": 8}, second]}


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ((), "line 1, the file"),
        (("stages", 0, "mixers", 1), "line 5, stages[0].mixers[1]"),
        (("stages", 1, "width"), "line 7, stages[1].width"),
        (("stages", 1, "mixers"), "line 5, stages[1].mixers"),  # merged from the first stage
        (("stages", 1, "depth"), "line 6, stages[1].depth"),  # not there: the stage's line
        (("stages", 7), "line 2, stages[7]"),
    ],
)
def test_a_place_has_the_line_of_what_stands_in_the_file(
    location: tuple[int | str, ...], expected: str
) -> None:
    assert read_yaml(TEXT).place(location) == expected


def test_an_anchor_merged_into_itself_has_places() -> None:
    assert read_yaml("a: &a\n  <<: *a").place(("a", "b")) == "line 1, a.b"


def test_data_without_lines_has_a_place_too() -> None:
    assert place(("stages", 0, "mixers", 1)) == "stages[0].mixers[1]"
    assert place(()) == "the file"


def test_a_key_that_stands_twice_is_named_with_both_lines() -> None:
    document = read_yaml("a: {b: 1,\n  b: 2}\nc: 3")
    assert list(document.repeated_keys()) == [
        (("a", "b"), "stands here and on line 2; keep one of them.")
    ]
    assert list(read_yaml(TEXT).repeated_keys()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "while parsing"),
        ("a: 2020-99-99", "month must be in 1..12"),
    ],
)
def test_what_is_not_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_yaml(text)
