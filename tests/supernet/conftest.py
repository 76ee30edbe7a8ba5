"""A small space, and images that a step number decides."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from search_spaces.definition import read_definition
from search_spaces.space import SearchSpace

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


class Batch(NamedTuple):
    """Images, target probabilities and image numbers."""

    images: Tensor
    targets: Tensor
    indices: Tensor


class Blobs:
    """Two classes, bright above or bright below, by step number."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Always four."""
        return 4

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        """Equal steps give equal images."""
        generator = torch.Generator().manual_seed(step)
        labels = torch.randint(0, 2, (batch_size,), generator=generator)
        images = torch.randn(batch_size, 1, 8, 8, generator=generator) * 0.3
        images[labels == 0, :, :4] += 1
        images[labels == 1, :, 4:] += 1
        images = torch.nn.functional.interpolate(images, (resolution, resolution))
        targets = torch.nn.functional.one_hot(labels, 2).float()
        return Batch(images, targets, torch.arange(batch_size))


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
