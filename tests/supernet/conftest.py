"""A small space, and images that a step number decides."""

from __future__ import annotations

import pytest

from search_spaces.definition import read_definition
from search_spaces.space import SearchSpace
from tests.blobs import Blobs

TEXT = """
schema: 1
name: small
norm: {norm}
resolution: [6, 8]
stem: [conv: {{stride: 1}}]
stages:
- width: [8, 12]
  depth: [1, 2]
  mixers: [depthwise: {{kernel: [3, 5]}}, mbconv: {{norm: {inside}}}, attention]
  channel_mixers: [none, mlp: {{ratio: [1, 2]}}]
- {{width: [12, 20], depth: 1, stride: 2, downsampling: [conv, pool], mixers: [pool, linear]}}
"""


@pytest.fixture
def space() -> SearchSpace:
    """Layer norm everywhere."""
    return SearchSpace(read_definition(TEXT.format(norm="layer", inside="none"), "test"))


@pytest.fixture
def batch_norm_space() -> SearchSpace:
    """Batch norm everywhere."""
    return SearchSpace(read_definition(TEXT.format(norm="batch", inside="batch"), "test"))


@pytest.fixture
def blobs() -> Blobs:
    """Training data."""
    return Blobs()
