"""Learning rates that grow with the depth, for networks and for supernets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search_spaces.data_shape import DataShape
from search_spaces.network import build_network
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.training.depth import rate_shares
from supernet.training.optimisation import Optimisation
from supernet.training.recipe import Recipe

NAMES = [
    "stem.body.weight",
    "position.learned.body.weight",
    "stages.0.blocks.0.mixer.norm.weight",
    "stages.0.blocks.1.channel_mixer.body.weight",
    "stages.1.downsampling.body.weight",
    "stages.1.blocks.0.mixer.body.weight",
    "stages.10.blocks.0.mixer.body.weight",
    "head.body.bias",
    "supervision.head.weight",
]


def test_each_place_has_a_share_of_the_rate_of_the_next_one() -> None:
    shares = rate_shares(NAMES, 0.5)
    assert list(shares.values()) == [1 / 32, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 4, 1 / 2, 1.0, 1.0]


def test_a_decay_of_one_changes_nothing() -> None:
    assert set(rate_shares(NAMES, 1.0).values()) == {1.0}


def test_the_optimiser_uses_the_shares(space: SearchSpace) -> None:
    network = build_network(space.decode(space.largest()), DataShape(1, 2))
    parameters = dict(network.named_parameters())
    recipe = Recipe(layer_decay=0.7, learning_rate=1e-2, warmup_share=0.0, weight_decay=0.0)
    state = Optimisation(parameters, recipe, steps=10)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    state.update()
    shares = rate_shares(parameters, 0.7)
    assert len(set(shares.values())) == 5  # the stem, two blocks, one more, the head
    for name, parameter in parameters.items():
        moved = (before[name] - parameter.detach()).abs().max().item()
        assert moved == pytest.approx(shares[name] * 1e-2, rel=1e-3)


def test_a_supernet_has_the_places_of_its_deepest_networks(space: SearchSpace) -> None:
    shares = rate_shares(dict(Supernet(space, DataShape(1, 2)).named_parameters()), 0.7)
    assert np.allclose(sorted(set(shares.values())), 0.7 ** np.arange(4, -1, -1))
