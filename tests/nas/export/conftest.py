from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.export import DataDescription
from search_spaces import Architecture, Network, build_network

DATA = DataDescription(
    name="shapes",
    classes=("circle", "square", "tri\u00e4ngle"),
    in_channels=2,
    mean=(0.25, 0.5),
    std=(0.2, 0.4),
    scale=255.0,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def data() -> DataDescription:
    return DATA


def small(norm: str = "layer", head: str = "linear") -> Architecture:
    block = {"mixer": {"depthwise": {"kernel": 3}}, "channel_mixer": {"mlp": {"ratio": 1}}}
    return Architecture.from_dict(
        {
            "schema": 1,
            "resolution": 8,
            "norm": norm,
            "stem": {"conv": {"stride": 2, "activation": "gelu"}},
            "stem_width": 12,
            "stages": [{"width": 12, "stride": 1, "layout": "metaformer", "blocks": [block]}],
            "head": {head: {}},
        }
    )


def random_network(architecture: Architecture) -> Network:
    """Random weights and batch-norm statistics, so that no part of a network does nothing."""
    torch.manual_seed(0)
    network = build_network(architecture, DATA.shape)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.5 + 0.1 if value.ndim == 1 else value)
    return network.eval()


@pytest.fixture(params=["layer", "batch"])
def network(request: pytest.FixtureRequest) -> Network:
    """One block of width 12 for two channels and three classes."""
    return random_network(small(request.param, "conv" if request.param == "batch" else "linear"))


@pytest.fixture
def plain() -> Network:
    """One of them, for what is the same for both."""
    return random_network(small())


@pytest.fixture
def undecided() -> Network:
    """A network that no exporter can trace: what it computes depends on the scores' values."""
    network = random_network(small())
    network.register_forward_hook(lambda _, images, y: y if float(y.sum()) > 0 else y * 1)
    return network
