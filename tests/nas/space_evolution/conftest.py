"""A space with every kind of dimension, and errors that are known of its architectures."""

from __future__ import annotations

import pytest

from search_spaces import SearchSpace
from search_spaces.definition import read_definition

TEXT = """
schema: 1
name: every-kind
resolution: [8, 12]
stem: [conv: {stride: [2, 1]}]
family_weights: {pool: 2.0}
stages:
- width: [16, 24]
  depth: [1, 2]
  reference: pool
  mixers: [pool, depthwise: {kernel: [5, 7, 9]}, mbconv: {kernel: [3, 5]}]
  channel_mixers: [none, mlp: {ratio: [1, 2]}]
- width: [20, 48]
  depth: [1, 2, 3]
  stride: 2
  downsampling: [conv, pool, residual]
  mixers: [depthwise: {kernel: [3, 5]}, attention]
  blocks:
  - {}
  - {channel_mixers: [mlp, glu]}
  - {mixers: [pool, linear: {feature: [simplified, focused]}]}
"""


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(read_definition(TEXT, "every-kind"))
