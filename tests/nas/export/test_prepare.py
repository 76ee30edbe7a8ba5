"""The door: image files give equal scores through timm, pt2, ONNX and our loader.

With every way to make images square, for files of every odd kind; and they look as they did when
the network was scored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data import load_data
from nas.data.batches import EvalBatches
from nas.data.images import MARGIN
from nas.errors import DataError
from nas.export import (
    DataDescription,
    export_network,
    load_exported,
    open_image,
    prepare_files,
)
from nas.export.format import FORMATS
from nas.reading import Fit, ReadOptions
from nas.timm_library import create_model, create_transform
from search_spaces import Network, build_network, load_space
from search_spaces.data_shape import DataShape

SIDE = 16
KINDS = ("tall", "wide", "dot", "grey", "palette", "clear_palette", "deep", "cmyk", "turned")


def smooth(height: int, width: int, phase: float) -> np.ndarray:
    """A picture without fine detail, so that how it is resampled hardly matters, (H, W, 3)."""
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    waves = [np.sin(3 * x + 2 * y + phase + c) * 90 + 128 for c in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def picture(kind: str, phase: float) -> tuple[Image.Image, str, dict[str, object]]:
    """An image, the ending of its file, and what is saved with it."""
    if kind in ("tall", "wide", "dot"):
        size = {"tall": (96, 32), "wide": (32, 96), "dot": (1, 1)}[kind]
        return Image.fromarray(smooth(*size, phase)), "png", {}
    image = Image.fromarray(smooth(40, 64, phase))
    if kind == "grey":
        return image.convert("L"), "png", {}
    if kind == "palette":
        return image.convert("P"), "png", {}
    if kind == "clear_palette":
        return image.quantize(16), "png", {"transparency": 3}
    if kind == "deep":
        levels = np.asarray(image.convert("L")).astype(np.uint16) * 16
        return Image.fromarray(levels), "png", {}
    if kind == "cmyk":
        return image.convert("CMYK"), "jpg", {"quality": 95}
    exif = Image.Exif()
    exif[0x0112] = 6
    return image, "jpg", {"exif": exif, "quality": 95}


@pytest.fixture(scope="module", params=["colour", "grey"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with four images of each kind; in the grey one only kinds without colour."""
    folder = tmp_path_factory.mktemp(request.param)
    kinds = KINDS if request.param == "colour" else ("grey", "deep")
    for label in ("a", "b"):
        (folder / label).mkdir()
        for kind in kinds:
            for number in range(4):
                image, ending, how = picture(kind, 1.7 * number + 0.8 * (label == "b"))
                image.save(folder / label / f"{kind}-{number}.{ending}", **how)
    return folder


def network_of(channels: int) -> Network:
    torch.manual_seed(1)
    space = load_space("hybrid-tiny").restrict(SIDE)
    return build_network(space.decode(space.smallest()), DataShape(channels, 2)).eval()


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_files_give_equal_scores_through_every_format(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit
) -> None:
    import nas.timm  # noqa: F401

    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    data = load_data(f"folder:{folder}", options=ReadOptions(fit=fit))
    network, out = network_of(data.shape.channels), tmp_path / "net"
    formats = ("timm", "pt2", "onnx")
    export_network(network, out, data=DataDescription.of(data), scores={}, formats=formats)
    files = sorted(folder.glob("*/*"))
    images = prepare_files(out, files)
    assert images.shape == (len(files), data.shape.channels, SIDE, SIDE)
    ours = load_exported(out)(images)
    for name in formats[1:]:
        run = FORMATS[name].load(out / FORMATS[name].file)
        torch.testing.assert_close(torch.as_tensor(run(images)), ours, rtol=1e-3, atol=1e-4)
    model = create_model(f"local-dir:{out}", pretrained=True).eval()
    from timm.data import resolve_data_config

    transform = create_transform(**resolve_data_config({}, model=model))
    theirs = model(torch.stack([transform(open_image(out, file)) for file in files]))
    assert torch.equal(theirs, ours)
    _same_as_scored(data, images, network)


def _same_as_scored(data: object, images: torch.Tensor, network: Network) -> None:
    """Every image that was scored is one of those prepared, and gets about the same scores."""
    for split in (data.train, data.validation, data.open_test()):  # type: ignore[attr-defined]
        for scored, _ in EvalBatches(split, data.normalisation).batches(SIDE, 64):  # type: ignore[attr-defined]
            away = (scored[:, None] - images[None]).abs().mean(dim=(2, 3, 4))
            near = images[away.argmin(dim=1)]
            assert away.min(dim=1).values.max() < 0.15
            same = network(scored).argmax(1) == network(near).argmax(1)
            assert same.double().mean() >= 0.9  # of a network with random weights


def test_margins_are_the_mean_so_that_timm_pads_alike(folder: Path, tmp_path: Path) -> None:
    data = load_data(f"folder:{folder}", options=ReadOptions(fit="pad"))
    assert data.normalisation.mean == (MARGIN / 255,) * data.shape.channels


def test_what_is_no_picture_is_said(folder: Path, tmp_path: Path) -> None:
    data = load_data(f"folder:{folder}")
    out = tmp_path / "net"
    description = DataDescription.of(data)
    export_network(network_of(data.shape.channels), out, data=description, scores={}, formats=())
    (tmp_path / "notes.png").write_text("no picture")
    for file in (tmp_path / "notes.png", tmp_path / "missing.png"):
        with pytest.raises(DataError, match="cannot be read"):
            prepare_files(out, [file])
