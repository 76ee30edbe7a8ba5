from __future__ import annotations

import pytest

from nas.space_evolution.plain import plain_of, to_yaml
from search_spaces import SearchSpace, load_space, space_names
from search_spaces.definition import read_definition


@pytest.mark.parametrize("name", space_names())
def test_a_space_is_the_same_after_it_was_written_and_read(name: str) -> None:
    space = load_space(name)
    again = SearchSpace(read_definition(to_yaml(plain_of(space.definition)), name))
    assert again.fingerprint == space.fingerprint
    assert again.definition == space.definition


def test_blocks_of_their_own_and_weights_are_kept(space: SearchSpace) -> None:
    text = to_yaml(plain_of(space.definition))
    again = read_definition(text, "again")
    assert again == space.definition
    assert "- {depthwise: {kernel: [5, 7, 9]}}" in text
    assert "width: [20, 48]" in text
