"""The children whose accuracy a person reads while a supernet is trained."""

from __future__ import annotations

from nas.run.context import Context
from nas.run.supernets import followed_children
from nas.settings import Settings
from search_spaces.architecture import Architecture


def _families(architecture: Architecture) -> list[str]:
    return [block.mixer.kind for stage in architecture.stages for block in stage.blocks]


def _size(architecture: Architecture) -> list[tuple[int, int]]:
    return [(stage.width, len(stage.blocks)) for stage in architecture.stages]


def test_largest_and_smallest_children_are_of_several_families() -> None:
    groups = followed_children(Context(Settings(data="digits")))
    for name in ("largest", "smallest"):
        children = groups[name]
        assert len({tuple(_families(child)) for child in children}) > 1
        assert len({tuple(_size(child)) for child in children}) == 1
    assert _size(groups["largest"][0]) > _size(groups["smallest"][0])
    again = followed_children(Context(Settings(data="digits", seed=5)))
    assert groups == again  # so that supernets can be compared


def test_a_child_that_comes_several_times_is_followed_once() -> None:
    settings = Settings(data="digits", space="photo-mobile", pretrained="none")
    groups = followed_children(Context(settings))
    assert len(groups["largest"]) == len(groups["smallest"]) == 1
