"""Features of the values that a gene may take."""

from __future__ import annotations

import numpy as np

from search_spaces import SearchSpace, load_space
from search_spaces.definition import read_definition
from search_spaces.genes import feature_tables


def test_features_of_an_option_grow_with_it() -> None:
    gene = next(g for g in load_space("hybrid-tiny").genes if g.role == "mixer")
    table = feature_tables([gene])[0]
    kernels = [i for i, kind in enumerate(gene.kinds) if kind == "depthwise"]
    growing = [column for column in table[kernels].T if (np.diff(column) > 0).all()]
    assert len(growing) == 1
    assert growing[0].min() >= 0.5


def test_options_of_two_families_share_a_feature_only_where_they_mean_the_same() -> None:
    mixers = "[pool: {size: [3, 7]}, window: {size: [4, 8]}, depthwise, mbconv: {kernel: [3, 5]}]"
    stage = f"{{width: 8, depth: 1, mixers: {mixers}}}"
    text = f"{{schema: 1, name: x, resolution: 8, stem: conv, stages: [{stage}]}}"
    gene = SearchSpace(read_definition(text, "x")).genes[4]
    table = feature_tables([gene])[0]
    columns = {kind: table[[k == kind for k in gene.kinds]].any(axis=0) for kind in gene.kinds}
    assert not (columns["pool"] & columns["window"]).any()
    assert (columns["depthwise"] & columns["mbconv"]).sum() == 1  # the kernel


def test_a_tacit_option_has_a_feature_only_where_a_space_offers_another_value() -> None:
    def table(attention: str) -> np.ndarray:
        stage = f"{{width: 8, depth: 1, mixers: [pool, attention: {attention}]}}"
        text = f"{{schema: 1, name: x, resolution: 8, stem: conv, stages: [{stage}]}}"
        return feature_tables([SearchSpace(read_definition(text, "x")).genes[4]])[0]

    plain = table("{head_dim: [16, 32]}")
    np.testing.assert_array_equal(table("{head_dim: [16, 32], bias: true}"), plain)
    both = table("{head_dim: [16, 32], bias: [false, true]}")
    assert both.shape[1] == plain.shape[1] + 1
    assert len(np.unique(both, axis=0)) == 5
