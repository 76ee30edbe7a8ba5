from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from search_spaces import Architecture

MIXERS = {"layer": {"attention": {"head_dim": 16}}, "batch": {"depthwise": {"kernel": 3}}}


def tiny(norm: str) -> Architecture:
    block = {"mixer": MIXERS[norm], "channel_mixer": {"mlp": {"ratio": 1}}}
    return Architecture.from_dict(
        {
            "schema": 1,
            "resolution": 8,
            "norm": norm,
            "stem": {"conv": {"stride": 2, "activation": "gelu"}},
            "stem_width": 12,
            "stages": [
                {"width": 12, "stride": 1, "layout": "metaformer", "blocks": [block, block]}
            ],
            "head": {"linear": {}},
        }
    )


@pytest.fixture(params=["layer", "batch"])
def architecture(request: pytest.FixtureRequest) -> Architecture:
    """Two blocks of width 12, with the norm that is named."""
    return tiny(request.param)


@dataclass(frozen=True)
class Batch:
    images: Tensor
    targets: Tensor
    indices: Tensor


class Stripes:
    """Noise with vertical lines, with horizontal lines, and without: three classes."""

    def steps_per_epoch(self, batch_size: int) -> int:
        return 4

    def batch(self, step: int, batch_size: int, resolution: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        classes = torch.randint(3, (batch_size,), generator=generator)
        images = torch.randn(batch_size, 1, resolution, resolution, generator=generator)
        lines = torch.tensor([2.0, -2.0]).repeat(resolution // 2)
        images[classes == 0] += lines
        images[classes == 1] += lines[:, None]
        targets = torch.nn.functional.one_hot(classes, 3).float()
        return Batch(images, targets, torch.arange(batch_size))


@pytest.fixture
def data() -> Stripes:
    return Stripes()
