"""The door: image files give equal scores through timm, pt2, ONNX and our loader.

With every way to make images square, for files of every odd kind; and they look as they did when
the network was scored. Scores are in standard deviations over the files, so that a difference of
`EQUAL` is a thousandth of what tells images apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.data import Dataset, load_data
from nas.data.batches import EvalBatches
from nas.data.formats.folder import read
from nas.data.images import MARGIN, Normalisation
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
from search_spaces import Network, SearchSpace, build_network, load_space
from search_spaces.data_shape import DataShape

SIDE = 16
KINDS = (
    *("tall", "wide", "dot", "grey", "palette", "clear_palette", "deep", "cmyk", "turned"),
    "large",
)
AS_PILLOW_OPENS = ("tall", "wide", "dot", "grey", "palette", "cmyk")
"""Kinds that need no `open_image`."""
FITS: tuple[Fit, ...] = ("crop", "squash", "pad")
EQUAL = 1e-3
TWICE = 0.1
"""For images that were resized twice when they were scored, and once through every door."""


def smooth(height: int, width: int, phase: float) -> np.ndarray:
    """A picture without fine detail, so that how it is resampled hardly matters, (H, W, 3)."""
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    waves = [np.sin(3 * x + 2 * y + phase + c) * 90 + 128 for c in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def picture(kind: str, phase: float, side: int) -> tuple[Image.Image, str, dict[str, object]]:
    """An image whose shorter side is `side`, the ending of its file, and what is saved with it."""
    if kind in ("tall", "wide", "dot"):
        sizes = {"tall": (96, 32), "wide": (32, 96), "dot": (1, 1)}
        return Image.fromarray(smooth(*sizes[kind], phase)), "png", {}
    if kind == "large":  # a JPEG that is decoded at a part of its size
        return Image.fromarray(smooth(480, 960, phase)), "jpg", {"quality": 95}
    image = Image.fromarray(smooth(side, 2 * side, phase))
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


@pytest.fixture(scope="module", params=["colour-16", "colour-40", "grey-40"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with four images of each kind; in the grey one only kinds without colour."""
    folder = tmp_path_factory.mktemp(request.param)
    colour, side = request.param.split("-")
    kinds = KINDS if colour == "colour" else ("grey", "deep")
    for label in ("a", "b"):
        (folder / label).mkdir()
        for kind in kinds:
            for number in range(4):
                phase = 1.7 * number + 0.8 * (label == "b")
                image, ending, how = picture(kind, phase, int(side))
                image.save(folder / label / f"{kind}-{number}.{ending}", **how)
    return folder


def network_of(channels: int) -> Network:
    torch.manual_seed(1)
    named = load_space("hybrid-tiny").restrict(SIDE)
    space = SearchSpace(named.definition.model_copy(update={"norm": "layer"}))
    return build_network(space.decode(space.smallest()), DataShape(channels, 2)).eval()


def scored(folder: Path, fit: Fit, data: Dataset) -> Tensor:
    """The images of all files as they are when networks are scored, in the order of the files."""
    images = read(folder, ReadOptions(fit=fit)).train
    batches = EvalBatches(images, data.normalisation).batches(SIDE, 64)
    return torch.cat([batch for batch, _ in batches])


@torch.no_grad()
def telling_apart(network: Network, images: Tensor) -> Network:
    """The network with a last layer whose scores have mean 0 and deviation 1 over the images."""
    scores = network(images)
    last = network.get_submodule("head.body.classifier")
    assert isinstance(last, torch.nn.Linear)
    deviation = scores.std(dim=0)
    last.weight.div_(deviation[:, None])
    last.bias.sub_(scores.mean(dim=0)).div_(deviation)
    return network


@dataclass(frozen=True)
class Door:
    """A network that tells the images of a folder apart, and its exported programs."""

    folder: Path
    network: Network
    programs: dict[str, Callable[[Tensor], Tensor]]


@pytest.fixture(scope="module")
def door(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Door:
    data = load_data(f"folder:{folder}")
    network = network_of(data.shape.channels)
    telling_apart(network, scored(folder, "crop", data))
    out, formats = tmp_path_factory.mktemp("programs"), ("pt2", "onnx")
    description = DataDescription.of(data)
    export_network(network, out, data=description, scores={}, formats=formats)
    programs = {name: FORMATS[name].load(out / FORMATS[name].file) for name in formats}
    return Door(folder, network, programs)


@pytest.mark.parametrize("fit", FITS)
def test_files_give_equal_scores_through_every_door(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit
) -> None:
    from timm.data import resolve_data_config

    import nas.timm  # noqa: F401

    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    data, out = load_data(f"folder:{door.folder}", options=ReadOptions(fit=fit)), tmp_path / "net"
    description = DataDescription.of(data)
    export_network(door.network, out, data=description, scores={}, formats=("timm",))
    files = sorted(door.folder.glob("*/*"))
    images = prepare_files(out, files)
    assert images.shape == (len(files), data.shape.channels, SIDE, SIDE)
    ours = load_exported(out)(images)
    assert (ours.std(dim=0) > 0.3).all() and (ours[:, 0] - ours[:, 1]).std() > 0.3
    for run in door.programs.values():
        torch.testing.assert_close(run(images), ours, rtol=0, atol=EQUAL)
    model = create_model(f"local-dir:{out}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=model))
    theirs = model(torch.stack([transform(open_image(out, file)) for file in files]))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=EQUAL)
    plain = [i for i, file in enumerate(files) if file.name.split("-")[0] in AS_PILLOW_OPENS]
    mode = "L" if data.shape.channels == 1 else "RGB"
    alone = [transform(Image.open(files[i]).convert(mode)) for i in plain]
    torch.testing.assert_close(model(torch.stack(alone)), ours[plain], rtol=0, atol=EQUAL)


@pytest.mark.parametrize("fit", FITS)
def test_files_give_the_scores_that_they_had_in_the_run(
    door: Door, tmp_path: Path, fit: Fit
) -> None:
    """To the bit alike at the images' own side; elsewhere resizing once is not resizing twice."""
    data, out = load_data(f"folder:{door.folder}", options=ReadOptions(fit=fit)), tmp_path / "net"
    export_network(door.network, out, data=DataDescription.of(data), scores={})
    images = prepare_files(out, sorted(door.folder.glob("*/*")))
    before = scored(door.folder, fit, data)
    if data.native_size == (SIDE, SIDE):
        assert torch.equal(images, before)
    else:
        torch.testing.assert_close(door.network(images), door.network(before), rtol=0, atol=TWICE)


@pytest.mark.parametrize("mean", [None, 0.485, 0.5])
def test_margins_are_the_mean_wherever_timm_has_them(
    folder: Path, tmp_path: Path, mean: float | None
) -> None:
    """Also for a network with the mean of published weights, at a resolution of its own."""
    data, out = load_data(f"folder:{folder}", options=ReadOptions(fit="pad")), tmp_path / "net"
    channels = data.shape.channels
    assert data.normalisation.mean == (MARGIN / 255,) * channels
    if mean is not None:
        own = Normalisation((mean,) * channels, (0.2,) * channels, 255.0)
        data = dataclasses.replace(data, normalisation=own)
    network = network_of(channels)
    export_network(network, out, data=DataDescription.of(data), scores={}, formats=())
    before, images = scored(folder, "pad", data), prepare_files(out, sorted(folder.glob("*/*")))
    level = round(255 * data.normalisation.mean[0]) / 255
    margin = (level - data.normalisation.mean[0]) / data.normalisation.std[0]
    assert abs(margin) < 1e-2
    theirs, ours = ((each - margin).abs() < 1e-5 for each in (images, before))
    assert theirs.float().mean() > 0.3 and (theirs != ours).float().mean() < 0.02


def test_what_is_no_picture_is_said(folder: Path, tmp_path: Path) -> None:
    data = load_data(f"folder:{folder}")
    out = tmp_path / "net"
    description = DataDescription.of(data)
    export_network(network_of(data.shape.channels), out, data=description, scores={}, formats=())
    (tmp_path / "notes.png").write_text("no picture")
    for file in (tmp_path / "notes.png", tmp_path / "missing.png"):
        with pytest.raises(DataError, match="cannot be read"):
            prepare_files(out, [file])
