"""The spaces that come with the package: each samples, builds and runs a child."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

import search_spaces
from nas.latency.cost import cost_of
from search_spaces import build_network, load_space, space_names
from search_spaces.data_shape import DataShape
from search_spaces.family import MIXERS
from search_spaces.layouts import LAYOUTS
from search_spaces.mixers.attention.attention import Attention
from search_spaces.space import SearchSpace

SHAPE = DataShape(3, 10)
WIDE = ("hybrid-wide-224", "hybrid-wide-32")
every_space = pytest.mark.parametrize("name", space_names())


@every_space
def test_a_child_of_a_space_is_built_and_runs(name: str) -> None:
    space = load_space(name)
    child = space.decode(space.sample(1, np.random.default_rng(1))[0])
    network = build_network(child, SHAPE).eval()
    with torch.no_grad():
        scores = network(torch.randn(1, 3, child.resolution, child.resolution))
    assert scores.shape == (1, 10)
    assert scores.isfinite().all()


@every_space
def test_a_space_says_what_it_is_and_its_file_begins_with_why(name: str) -> None:
    text = (Path(search_spaces.__file__).parent / f"{name}.yaml").read_text()
    assert load_space(name).definition.description
    assert text.startswith("# ")


def kinds(space: SearchSpace, role: str) -> set[str]:
    return {kind for gene in space.genes if gene.role == role for kind in gene.kinds}


@pytest.mark.parametrize("name", (*WIDE, "hybrid-wide-tiny"))
def test_a_wide_space_offers_every_family(name: str) -> None:
    assert kinds(load_space(name), "mixer") == set(MIXERS.names())


@pytest.mark.parametrize("name", WIDE)
def test_a_large_wide_space_offers_every_layout_of_one_order(name: str) -> None:
    space = load_space(name)
    assert kinds(space, "layout") == {"metaformer", "sandwich", "parallel"}
    assert all(not LAYOUTS[kind].strides for kind in kinds(space, "layout"))
    assert kinds(space, "position") == {"none", "size_conditioned"}


def test_a_block_of_autoformer_has_three_or_four_heads_and_two_ratios_at_each_width() -> None:
    auto = load_space("autoformer-tiny")
    assert auto.size() == 3 * sum((2 * 2) ** depth for depth in (12, 13, 14))
    heads = {
        (stage.width, Attention(stage.width, block.mixer.options).heads)
        for code in auto.sample(20, np.random.default_rng(0))
        for stage in auto.decode(code).stages
        for block in stage.blocks
    }
    assert heads == set(product((192, 216, 240), (3, 4)))


def test_published_spaces_hold_the_networks_that_they_are_named_after() -> None:
    """Multiply-accumulates and weights of timm's networks, which have a class token more."""
    classes = DataShape(3, 1000)
    vit = load_space("matformer")
    largest = cost_of(vit.decode(vit.largest()), classes)
    # timm's vit_base_patch16_224: 86.57 M weights, 0.15 M of which are learned positions.
    assert abs(largest.params / 86.57e6 - 1) < 0.005
    smallest = cost_of(vit.decode(vit.smallest()), classes)
    mlp = 12 * (2 * 768 + 1) * 768  # of a ratio that is 1 greater
    assert abs((largest.params - smallest.params) / (3.5 * mlp) - 1) < 0.001
    auto = load_space("autoformer-tiny")
    # timm's deit_tiny_patch16_224: width 192, depth 12, ratio 4, 5.72 M weights.
    code = auto.smallest()
    for i, gene in enumerate(auto.genes):
        if gene.role == "channel_mixer" and gene.block is not None and gene.block[1] < 12:
            code[i] = 1
    assert abs(cost_of(auto.decode(code), classes).params / 5.72e6 - 1) < 0.01
