"""What stands around the body of a residual branch, and that supernets share it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search_spaces import Architecture, SearchSpace, build_network
from search_spaces.architecture import Choice
from search_spaces.branches import BRANCHES
from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.family import CHANNEL_MIXERS
from search_spaces.parts import Part
from supernet import Supernet

SPACE = """
schema: 1
name: one
resolution: 8
norm: {norm}
stem: [conv: {{stride: 1}}]
stages:
- {{width: [12, 16], depth: [1, 2], branch: {branch}, mixers: [depthwise, metanext],
   channel_mixers: [none, mlp, star_mlp]}}
"""


@pytest.mark.parametrize(
    ("branch", "norm", "scale", "weight"),
    [
        ("scaled", True, True, False),
        ("plain", True, False, False),
        ("weighted", True, False, True),
        ("unnormed_scaled", False, True, False),
        ("unnormed", False, False, False),
    ],
)
def test_a_branch_equals_its_formula(branch: str, norm: bool, scale: bool, weight: bool) -> None:
    choice = Choice("mlp", CHANNEL_MIXERS["mlp"].options())
    module = Part("channel_mixer", choice, 20, 20, 5, 1, "layer", branch=branch).build()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    names = {name for name, _ in module.named_parameters() if not name.startswith("body")}
    own = {"norm.weight": norm, "norm.bias": norm, "scale": scale, "weight": weight}
    assert names == {name for name, there in own.items() if there}
    x = torch.randn(2, 20, 5, 5)
    y = module.body(module.norm(x))
    if scale:
        y = y * module.scale[:, None, None]
    beside = x * module.weight[:, None, None] if weight else x
    torch.testing.assert_close(module(x), beside + y)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("norm", ["group", "layer-unbiased"])
def test_a_child_of_a_supernet_equals_its_extracted_copy(branch: str, norm: str) -> None:
    space = SearchSpace(read_definition(SPACE.format(branch=branch, norm=norm), "one.yaml"))
    supernet = Supernet(space, DataShape(3, 5)).eval()
    x = torch.randn(2, 3, 8, 8)
    for code in space.sample(6, np.random.default_rng(0)):
        child = space.decode(code)
        assert space.encode(child).tolist() == code.tolist()
        torch.testing.assert_close(supernet.extract(child)(x), supernet(x, child))


def test_the_branch_is_written_and_read_unless_it_is_the_default() -> None:
    for branch in BRANCHES:
        space = SearchSpace(read_definition(SPACE.format(branch=branch, norm="layer"), "one.yaml"))
        architecture = space.decode(space.largest(np.random.default_rng(0)))
        text = architecture.to_yaml()
        assert ("branch:" in text) == (branch != "scaled")
        assert Architecture.from_yaml(text) == architecture
        build_network(architecture)
