"""Random enlarged parts of images."""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.augment import Augmentation
from nas.data.zoom import zoomed
from nas.errors import SettingsError

HEIGHT, WIDTH, LEAST = 96, 128, 0.25


def _places(count: int = 200) -> np.ndarray:
    """Images whose two channels say where each pixel is, from 0 to 1."""
    rows = (np.arange(HEIGHT, dtype=np.float32)[:, None] + 0.5) / HEIGHT
    columns = (np.arange(WIDTH, dtype=np.float32)[None] + 0.5) / WIDTH
    image = np.stack(np.broadcast_arrays(rows, columns), axis=2)
    return np.repeat(image[None], count, axis=0)


def _boxes(resolution: int, seed: int = 0, step: int = 0) -> np.ndarray:
    """Top, left, height and width of each part, as shares of the image."""
    shown = zoomed(_places(), resolution, LEAST, seed, step)
    first, last = shown[:, 0, 0], shown[:, -1, -1]
    border = (last - first) / (resolution - 1) / 2
    return np.concatenate([first - border, last - first + 2 * border], axis=1)


def test_parts_have_at_least_that_share_of_the_area_and_lie_within_the_image() -> None:
    top, left, height, width = _boxes(32).T
    area = height * width
    assert LEAST * 0.93 < area.min() < LEAST * 1.3 and area.max() > 0.9
    assert min(top.min(), left.min()) > -0.02
    assert max((top + height).max(), (left + width).max()) < 1.02
    ratio = width / height
    assert 0.7 < ratio.min() < 0.85 and 1.2 < ratio.max() < 1.45


def test_a_step_shows_the_same_parts_at_every_resolution() -> None:
    np.testing.assert_allclose(_boxes(32), _boxes(48), atol=0.02)


def test_steps_and_seeds_show_other_parts() -> None:
    assert np.abs(_boxes(32) - _boxes(32, step=1)).mean() > 0.05
    assert np.abs(_boxes(32) - _boxes(32, seed=1)).mean() > 0.05


def test_pixels_keep_their_type() -> None:
    pixels = np.zeros((2, 20, 10, 5), np.uint8)
    shown = zoomed(pixels, 16, 0.5, seed=0, step=0)
    assert shown.shape == (2, 16, 16, 5) and shown.dtype == np.uint8


@pytest.mark.parametrize("zoom", [0.0, -0.5, 1.5, float("nan")])
def test_a_zoom_out_of_range_is_refused(zoom: float) -> None:
    with pytest.raises(SettingsError, match=f"zoom is {zoom}; it is the smallest share"):
        Augmentation(zoom=zoom)
