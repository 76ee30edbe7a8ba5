from __future__ import annotations

import numpy as np

from nas.space_evolution.dimensions import Dimension, dimensions
from search_spaces import SearchSpace, load_space


def _named(space: SearchSpace, name: str) -> Dimension:
    return next(d for d in dimensions(space) if d.name == name)


def test_every_list_of_two_values_or_more_is_a_dimension(space: SearchSpace) -> None:
    assert [d.name for d in dimensions(space)] == [
        "resolution",
        "stem.conv.stride",
        "stages.0.width",
        "stages.0.depth",
        "stages.0.mixers",
        "stages.0.mixers.depthwise.kernel",
        "stages.0.mixers.mbconv.kernel",
        "stages.0.channel_mixers",
        "stages.0.channel_mixers.mlp.ratio",
        "stages.1.width",
        "stages.1.depth",
        "stages.1.downsampling",
        "stages.1.blocks.2.mixers",
        "stages.1.blocks.2.mixers.linear.feature",
        "stages.1.mixers",
        "stages.1.mixers.depthwise.kernel",
        "stages.1.blocks.1.channel_mixers",
    ]


def test_items_of_one_family_are_told_apart_by_their_options() -> None:
    first = dimensions(load_space("macro"))[0]
    assert len(first.labels) == 3
    assert "kernel=3" in first.labels[1]
    assert "kernel=5" in first.labels[2]


def test_only_numbers_are_in_an_order(space: SearchSpace) -> None:
    unordered = {d.name.rpartition(".")[2] for d in dimensions(space) if not d.ordered}
    assert unordered == {"mixers", "channel_mixers", "downsampling", "feature"}


def test_values_are_counted_in_the_blocks_that_there_are(space: SearchSpace) -> None:
    codes = space.sample(50, np.random.default_rng(0))
    active = space.active(codes)
    kernels = _named(space, "stages.0.mixers.depthwise.kernel")
    families = _named(space, "stages.1.mixers")
    widths = _named(space, "stages.1.width")
    for i, code in enumerate(codes):
        early, late = space.decode(code).stages
        mixers = [block.mixer for block in early.blocks]
        expected = [
            sum(m.kind == "depthwise" and m.options.kernel == k for m in mixers)  # type: ignore[attr-defined]
            for k in (5, 7, 9)
        ]
        assert kernels.holds(codes, active)[i].tolist() == expected
        shared = [block.mixer.kind for block in late.blocks[:2]]
        expected = [shared.count("depthwise"), shared.count("attention")]
        assert families.holds(codes, active)[i].tolist() == expected
        assert widths.holds(codes, active)[i].tolist() == [late.width == 20, late.width == 48]
