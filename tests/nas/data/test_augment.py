"""How training images are varied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.data import KINDS
from nas.data.augment import Augmentation, RandAugment, default_augmentation, shift_and_flip
from nas.errors import SettingsError


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_has_no_handedness_is_flipped_by_default(kind: str) -> None:
    data: Any = SimpleNamespace(kind=kind)
    expected = Augmentation(flip=kind in ("fashion-mnist", "cifar10", "folder"), shift=0.125)
    assert default_augmentation(data) == expected


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("name", ["shift", "label_smoothing"])
def test_a_share_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}; it is a share, at least 0"):
        Augmentation(**{name: value})


def test_values_of_another_type_are_refused_with_the_right_one() -> None:
    wrong = ({"flip": "no"}, {"mixup": "abc"}, {"zoom": True}, {"label_smoothing": "x"})
    for values in (*wrong, {"randaugment": 5}):
        with pytest.raises(
            SettingsError, match=f"^{next(iter(values))} is .*; (write|it is a nu)"
        ):
            Augmentation(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_an_alpha_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {value}; it is at least 0"):
        Augmentation(**{name: value})


@pytest.mark.parametrize(
    "policy", ["", "m9", "rand-", "rand-m", "rand-9", "rand-x3", "rand-p.5", "rand-m9 "]
)
def test_a_policy_that_timm_would_not_read_is_refused(policy: str) -> None:
    with pytest.raises(SettingsError, match="randaugment is '.*'; write it as timm does"):
        Augmentation(randaugment=policy)


@pytest.mark.parametrize("policy", ["rand", "rand-m9-n2-mstd0.5-inc1", "rand-m5-p0.7-mmax10"])
def test_policies_of_timm_are_taken_and_run(policy: str) -> None:
    augmentation = Augmentation(randaugment=policy)
    assert augmentation.randaugment == policy
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    varied = RandAugment(policy, 3, is_uint8=True)(pixels, seed=0, step=0)
    assert varied.shape == pixels.shape and varied.dtype == np.uint8
    assert (varied != pixels).any()


@pytest.mark.parametrize(("channels", "is_uint8"), [(4, True), (3, False)])
def test_randaugment_is_for_pictures(channels: int, is_uint8: bool) -> None:
    with pytest.raises(SettingsError, match=rf"these have {channels} channels of .*Leave randaug"):
        RandAugment("rand-m9", channels, is_uint8)


def test_randaugment_is_the_same_for_the_same_step() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)
    augment = RandAugment("rand-m9-n2-mstd0.5", 1, is_uint8=True)
    first = augment(pixels, seed=3, step=5)
    np.testing.assert_array_equal(augment(pixels, seed=3, step=5), first)
    assert (augment(pixels, seed=3, step=6) != first).any()


def test_a_step_shifts_alike_at_every_resolution() -> None:
    augmentation = Augmentation(shift=0.125)
    corners = []
    for side in (16, 32):
        pixels = np.zeros((32, side, side, 1), np.uint8)
        pixels[:, side // 2, side // 2] = 1
        varied = shift_and_flip(pixels, augmentation, seed=0, step=0)
        where = np.argwhere(varied)[:, 1:3] - side // 2
        corners.append(where * (32 // side))
    assert np.abs(corners[0] - corners[1]).max() <= 2
    assert np.abs(corners[1]).max() == 4


def test_no_augmentation_returns_the_pixels_themselves() -> None:
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    assert shift_and_flip(pixels, Augmentation(), seed=0, step=0) is pixels
