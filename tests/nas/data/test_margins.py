"""Padded images at any resolution: margins are the mean, and pictures are resized alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import Dataset, load_data
from nas.data.augment import Augmentation
from nas.data.batches import EvalBatches, TrainBatches
from nas.data.images import MARGIN, Normalisation
from nas.data.margins import margin_of, place_of
from nas.data.resizing import ResizedImages, resize
from nas.reading import ReadOptions
from nas.timm_library import create_transform

SIZES = ((40, 100), (100, 40), (64, 64), (1, 90), (33, 35))
"""Height and width of the pictures in each class."""
OTHER = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 255.0)


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("padded")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(20):
            shape = (*SIZES[number % len(SIZES)], 3)
            # Bright, so that a margin that ran into a picture would be seen.
            pixels = rng.integers(200, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return load_data(f"folder:{root}", options=ReadOptions(fit="pad"))


@pytest.mark.parametrize("cache_mib", [0.0, 100.0])
@pytest.mark.parametrize("resolution", [8, 24, 31, 40, 63])
@pytest.mark.parametrize("other", [False, True])
def test_the_picture_is_resized_alone_and_the_margins_are_new(
    padded: Dataset, resolution: int, cache_mib: float, other: bool
) -> None:
    normalisation = OTHER if other else padded.normalisation
    images, side = padded.train, padded.native_size[0]
    assert images.sizes is not None
    chosen = np.arange(len(images))[::-3].copy()
    shown = ResizedImages(images, normalisation, cache_mib).take(chosen, resolution)
    for image, index in zip(shown, chosen, strict=True):
        height, width = images.sizes[index]
        here, there = place_of(height, width, side), place_of(height, width, resolution)
        picture = images.pixels[index][here.slices]
        alone = resize(picture[None], (there.height, there.width))[0]
        np.testing.assert_array_equal(image[there.slices], alone)
        rest = np.ones((resolution, resolution), bool)
        rest[there.slices] = False
        assert (image[rest] == margin_of(normalisation.mean)).all()


@pytest.mark.parametrize("resolution", [24, 40, 64])
def test_margins_become_0_and_pictures_do_not(padded: Dataset, resolution: int) -> None:
    batches = EvalBatches(padded.train, padded.normalisation).batches(resolution, 64)
    assert padded.train.sizes is not None
    for image, (height, width) in zip(
        next(iter(batches))[0].numpy(), padded.train.sizes, strict=False
    ):
        rows, columns = place_of(height, width, resolution).slices
        inside = np.zeros((resolution, resolution), bool)
        inside[rows, columns] = True
        assert np.abs(image[:, ~inside]).max(initial=0.0) < 1e-6
        assert image[:, inside].min() > 0.5


@pytest.mark.parametrize("resolution", [17, 40, 56])
def test_margins_lie_where_timm_lays_them(padded: Dataset, resolution: int) -> None:
    transform = create_transform(
        input_size=(3, resolution, resolution),
        interpolation="bilinear",
        crop_pct=1.0,
        crop_mode="border",
        mean=(MARGIN / 255,) * 3,
        std=(1.0,) * 3,
        is_training=False,
    )
    own = Normalisation((MARGIN / 255,) * 3, (1.0,) * 3, 255.0)
    assert padded.train.sizes is not None
    for index in range(8):
        height, width = padded.train.sizes[index]
        if min(height, width) == 1:  # timm cannot make it smaller
            continue
        theirs = transform(Image.new("RGB", (int(width), int(height)), "white")).numpy()
        shown = next(
            EvalBatches(padded.train.select(np.array([index])), own).batches(resolution, 1)
        )
        np.testing.assert_array_equal(theirs == 0, np.abs(shown[0][0].numpy()) < 1e-6)


def test_zoomed_parts_show_margins_of_the_mean(padded: Dataset) -> None:
    batches = TrainBatches(padded.train, OTHER, Augmentation(zoom=0.9), 2)
    shown = batches.batch(0, 32, 40).images.numpy()
    level = [
        (colour / 255 - mean) / std
        for colour, mean, std in zip(margin_of(OTHER.mean), OTHER.mean, OTHER.std, strict=True)
    ]
    share = (np.abs(shown - np.array(level)[:, None, None]) < 1e-5).all(axis=1).mean()
    assert share > 0.2


def test_pictures_of_other_proportions_are_other_data(tmp_path: Path) -> None:
    """Even if their padded pixels are the same: they differ once they are resized."""
    ids = []
    for height in (98, 102):
        for name in ("a", "b"):
            folder = tmp_path / str(height) / name
            folder.mkdir(parents=True)
            for number in range(4):
                colour = (50 * number, 9, 9)
                Image.new("RGB", (16, height), colour).save(folder / f"{number}.png")
        data = load_data(f"folder:{tmp_path / str(height)}", options=ReadOptions(fit="pad"))
        assert data.native_size == (16, 16)
        ids.append(data.id)
    assert ids[0] != ids[1]
