"""What `config.json` says of preparing images is what the network was scored with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import load_data
from nas.data.batches import EvalBatches
from nas.export import DataDescription, export_network, load_exported
from nas.reading import Fit, ReadOptions
from nas.timm_library import create_model
from search_spaces import build_network, load_space
from search_spaces.data_shape import DataShape

SIDE = 16


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Photographs of 3:1 in two classes, with the class in the centre and noise beside it."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "bright")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (48, 144, 3)).astype(np.uint8)
            pixels[:, 48:96] = 40 + 170 * label
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_timms_transform_prepares_photographs_as_they_were_scored(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit
) -> None:
    from timm.data import create_transform, resolve_data_config

    import nas.timm  # noqa: F401

    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    data = load_data(f"folder:{photographs}", options=ReadOptions(fit=fit))
    space = load_space("hybrid-tiny").restrict(SIDE)
    network = build_network(space.decode(space.smallest()), DataShape(3, 2)).eval()
    export_network(
        network, tmp_path / "net", data=DataDescription.of(data), scores={}, formats=("timm",)
    )
    model = create_model(f"local-dir:{tmp_path / 'net'}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=model))
    ((ours, labels),) = EvalBatches(data.train, data.normalisation).batches(SIDE, 64)
    stored = data.train.pixels  # what the reader made of the files, in the order of `ours`
    for image, label, pixels in zip(ours, labels.tolist(), stored, strict=True):
        files = sorted((photographs / data.classes[label]).iterdir())
        theirs = torch.stack([transform(Image.open(file)) for file in files])
        assert (theirs - image).abs().mean(dim=(1, 2, 3)).min() < 0.2, pixels.shape
    assert load_exported(tmp_path / "net")(ours).shape == (len(labels), 2)
