"""Each format holds each mixer family, and is told apart from what it should be."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import MissingExtraError
from nas.export import DataDescription, ExportError, export_network
from nas.export.verification import random_images
from search_spaces import Architecture, Network, build_network
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, MIXERS

MIXER_FAMILIES = tuple(name for name in MIXERS.names() if name != "identity")
WINDOW = {"window": {"size": 4, "shifted": True, "head_dim": 16}}


def network_of(mixers: Sequence[str], data: DataDescription) -> Network:
    """A network of width 20 with these mixers and all channel mixers and downsamplings."""
    channel, downsamplings = CHANNEL_MIXERS.names(), DOWNSAMPLINGS.names()
    blocks = [
        {
            "mixer": WINDOW if name == "window" else {name: {}},
            "channel_mixer": {channel[i % len(channel)]: {}},
        }
        for i, name in enumerate(mixers)
    ]
    stages: list[dict[str, Any]] = [
        {
            "width": 20,
            "stride": 1,
            "layout": "metaformer",
            "blocks": blocks[i :: len(downsamplings)],
        }
        for i in range(len(downsamplings))
    ]
    for stage, name in zip(stages, downsamplings, strict=True):
        stage["downsampling"] = {name: {}}
    stages[-1]["stride"] = 2
    architecture = Architecture.from_dict(
        {
            "schema": 1,
            "resolution": 12,
            "norm": "layer",
            "stem": {"conv": {"stride": 1, "activation": "gelu"}},
            "stem_width": 20,
            "stages": [stage for stage in stages if stage["blocks"]],
            "head": {"linear": {}},
        }
    )
    torch.manual_seed(0)
    return build_network(architecture, data.in_channels, len(data.classes)).eval()


@pytest.fixture
def diverse(data: DataDescription) -> Network:
    """Every family."""
    return network_of(MIXER_FAMILIES, data)


@pytest.fixture
def tricky(data: DataDescription) -> Network:
    """The families that exporters stumble over: shifted windows, and a Fourier transform."""
    return network_of(("window", "spectral_gate"), data)


def test_the_diverse_network_holds_every_family(diverse: Network) -> None:
    blocks = [block for stage in diverse.architecture.stages for block in stage.blocks]
    assert {block.mixer.kind for block in blocks} == set(MIXER_FAMILIES)
    assert {block.channel_mixer.kind for block in blocks} == set(CHANNEL_MIXERS.names())


@pytest.mark.slow  # 10-20 s
def test_pt2_holds_every_family(diverse: Network, data: DataDescription, tmp_path: Path) -> None:
    export_network(diverse, tmp_path / "net", data=data, scores={}, formats=("pt2",))


def test_pt2_loads_with_torch_alone(
    tricky: Network, data: DataDescription, tmp_path: Path
) -> None:
    export_network(tricky, tmp_path / "net", data=data, scores={}, formats=("pt2",))
    images = random_images(tricky, 3)
    torch.save((images, tricky(images).detach()), tmp_path / "expected.pt")
    alone = f"""
import sys, torch
network = torch.export.load({str(tmp_path / "net" / "model.pt2")!r}).module()
images, scores = torch.load({str(tmp_path / "expected.pt")!r})
torch.testing.assert_close(network(images), scores, rtol=1e-4, atol=1e-4)
assert not {{"nas", "search_spaces", "supernet"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", alone], check=True, cwd=tmp_path)


@pytest.mark.slow  # 10-20 s
def test_onnx_holds_every_family(diverse: Network, data: DataDescription, tmp_path: Path) -> None:
    check_onnx(diverse, data, tmp_path)


def test_onnx_gives_the_networks_scores_for_any_batch(
    tricky: Network, data: DataDescription, tmp_path: Path
) -> None:
    check_onnx(tricky, data, tmp_path)


def check_onnx(network: Network, data: DataDescription, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    side = network.architecture.resolution
    files = export_network(network, tmp_path / "net", data=data, scores={}, formats=("onnx",))
    assert [f.name for f in files] == ["model.safetensors", "model.onnx", "architecture.yaml"]
    session = runtime.InferenceSession(str(files[1]))
    assert [each.name for each in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [2, side, side]
    images = random_images(network, 7)
    (scores,) = session.run(["scores"], {"images": images.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(scores), network(images).detach(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_onnx_without_its_packages_names_the_extra(
    package: str,
    network: Network,
    data: DataDescription,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest)

    for name in ("onnx", "onnxscript", "onnxruntime"):
        fake = None if name == package else type(sys)(name)
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"needs '{package}'.*\[onnx\]"):
        export_network(network, tmp_path / "net", data=data, scores={}, formats=("onnx",))
    assert not (tmp_path / "net").exists()


def test_a_network_that_a_format_cannot_hold_is_said(
    network: Network, data: DataDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(ExportError, match="captured by torch.export: no such operator"):
        export_network(network, tmp_path / "net", data=data, scores={}, formats=("pt2",))
    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ExportError, match="exported to ONNX: no such operator"):
        export_network(network, tmp_path / "net", data=data, scores={}, formats=("onnx",))
    assert not (tmp_path / "net").exists()
