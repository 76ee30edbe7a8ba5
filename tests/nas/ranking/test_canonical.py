from __future__ import annotations

import itertools

import numpy as np
import torch

from nas.ranking.canonical import canonical_codes, depths
from search_spaces import build_network, load_space
from search_spaces.data_shape import DataShape


def macro_codes() -> np.ndarray:
    space = load_space("macro")
    layers = [i for i, gene in enumerate(space.genes) if gene.role == "mixer"]
    codes = np.zeros((3**8, space.num_genes), dtype=np.int16)
    codes[:, layers] = list(itertools.product(range(3), repeat=8))
    return codes


def test_nas_bench_macro_has_3969_networks() -> None:
    """As many as its table has distinct groups of equal accuracies and identities."""
    space, codes = load_space("macro"), macro_codes()
    canonical = canonical_codes(space, codes)
    assert space.contains(canonical).all()
    assert len(np.unique(canonical, axis=0)) == 3969
    assert (canonical_codes(space, canonical) == canonical).all()
    assert (depths(space, codes) == depths(space, canonical)).all()
    assert set(depths(space, codes)) == set(range(9))


def test_equal_codes_are_equal_networks() -> None:
    space, codes = load_space("macro"), macro_codes()
    canonical = canonical_codes(space, codes)
    rng = np.random.default_rng(0)
    for row in rng.permutation(np.flatnonzero((canonical != codes).any(axis=1)))[:3]:
        networks = [
            build_network(space.decode(code), DataShape(1, 3)).eval()
            for code in (codes[row], canonical[row])
        ]
        first, second = ([p.shape for p in network.parameters()] for network in networks)
        assert first == second
        for own, other in zip(*(network.parameters() for network in networks), strict=True):
            other.data = own.data
        images = torch.randn(2, 1, 32, 32)
        assert torch.equal(networks[0](images), networks[1](images))


def test_other_layouts_keep_their_codes() -> None:
    space = load_space("hybrid-tiny")
    codes = space.sample(50, np.random.default_rng(0))
    assert (canonical_codes(space, codes) == codes).all()
    blocks = [sum(len(stage.blocks) for stage in space.decode(code).stages) for code in codes]
    assert depths(space, codes).tolist() == blocks
