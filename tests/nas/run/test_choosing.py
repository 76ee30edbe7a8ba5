"""Without a space, the size of the images decides; a donor is used where its weights are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import SearchData, load_data
from nas.data.images import Images
from nas.errors import UnknownNameError, WeightsError
from nas.pretrained import package_installed
from nas.run.choosing import choose_donor, choose_space, resolution_notes, resolutions_for
from nas.run.context import Context
from nas.settings import Settings
from search_spaces import load_space
from search_spaces.published import PUBLISHED

INSTALLED = package_installed(PUBLISHED["tf_efficientnet_lite0"])
needs_package = pytest.mark.skipif(not INSTALLED, reason="the extra 'pretrained' is not installed")


def _images_of(side: int) -> SearchData:
    data = load_data("digits").search_view()
    pixels = np.zeros((len(data.train), side, side, 1), dtype=np.uint8)
    return dataclasses.replace(data, train=Images(pixels, data.train.labels))


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """Two classes of six pictures of 72 px."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (72, 72, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return f"folder:{tmp_path / 'photos'}"


@pytest.mark.parametrize(
    ("side", "name"),
    [
        (8, "hybrid-tiny"),
        (16, "hybrid-tiny"),
        (17, "hybrid-cifar"),
        (40, "hybrid-cifar"),
        (41, "photo-mobile"),
        (224, "photo-mobile"),
    ],
)
def test_the_size_of_the_images_chooses_the_space(side: int, name: str) -> None:
    chosen = choose_space(Settings(), _images_of(side))
    assert chosen.name == name
    assert chosen.reason.startswith(f"space {name}, for images of {side} px")


def test_a_space_that_is_named_is_taken_without_a_word() -> None:
    chosen = choose_space(Settings(space="hybrid-224"), _images_of(8))
    assert (chosen.name, chosen.reason) == ("hybrid-224", "")


def test_resolutions_of_photographs_lie_between_half_and_all_of_the_images() -> None:
    space = load_space("photo-mobile")
    assert resolutions_for(space, 128) == [64, 80, 96, 112, 128]
    assert resolutions_for(space, 72) == [48, 64]
    assert resolutions_for(space, 20) == [48]
    assert resolutions_for(space, 600) == [224]
    assert resolutions_for(load_space("hybrid-cifar"), 128) == [24, 32]


def test_small_and_large_images_are_never_resized_in_silence() -> None:
    photo, cifar = load_space("photo-mobile"), load_space("hybrid-cifar")
    (enlarged,) = resolution_notes(photo.at([48]), 20)
    assert "enlarged to 48 px" in enlarged
    (lost,) = resolution_notes(cifar, 128)
    assert lost.startswith("Warning: networks see the images at 32 px at most, less than half")
    assert lost.endswith("Choose a space of larger resolutions, such as --space photo-mobile.")
    (tight,) = resolution_notes(photo.at([48]), 224)
    assert tight.endswith("A looser budget allows more, and --resolutions chooses others.")
    (some,) = resolution_notes(photo.at([48, 64, 128]), 128)
    assert some == "some networks see the images at 48 px, less than half of their 128 px"
    assert not list(resolution_notes(photo.at([64, 96, 128]), 128))


def test_a_space_without_a_donor_starts_from_random_weights() -> None:
    assert choose_donor(Settings(), load_space("hybrid-tiny")).name == "none"


def test_a_donor_can_be_refused() -> None:
    chosen = choose_donor(Settings(pretrained="none"), load_space("photo-mobile"))
    assert (chosen.name, chosen.reason) == ("none", "")


def test_photographs_start_from_the_donor_if_its_weights_are_installed() -> None:
    chosen = choose_donor(Settings(), load_space("photo-mobile"))
    if INSTALLED:
        assert chosen.name == "tf_efficientnet_lite0"
    else:
        assert chosen.name == "none" and "[pretrained]" in chosen.reason


@needs_package
def test_photographs_are_normalised_as_the_donor_needs_them(photographs: str) -> None:
    context = Context(Settings(data=photographs))
    assert context.whole_space.definition.resolution == [48, 64]
    assert context.data.normalisation.mean == (0.5, 0.5, 0.5)
    assert context.metric == "loss" and context.recipe.learning_rate == 1e-3
    plain = Context(Settings(data=photographs, pretrained="none"))
    assert plain.data.normalisation.mean != (0.5, 0.5, 0.5)
    assert plain.metric == "accuracy" and plain.donor is None
    assert (plain.evaluations, context.evaluations) == (200, 100)
    assert plain.supernet_key() != context.supernet_key()
    assert plain.data.id == context.data.id


@needs_package
def test_a_donor_that_the_space_does_not_hold_is_refused() -> None:
    settings = Settings(space="hybrid-cifar", pretrained="tf_efficientnet_lite0")
    with pytest.raises(WeightsError, match="'hybrid-cifar' does not hold tf_efficientnet_lite0"):
        _ = Context(settings).donor


def test_an_unknown_donor_is_reported_before_anything_is_written(photographs: str) -> None:
    settings = Settings(data=photographs, pretrained="tf_efficientnet_lite00")
    with pytest.raises(UnknownNameError, match="Did you mean 'tf_efficientnet_lite0'"):
        Context(settings).check()
    with pytest.raises(UnknownNameError, match="timm has no model 'convnext_nanoo'"):
        Context(Settings(teacher="timm:convnext_nanoo")).check()
