"""Batches are functions of the seed and the step."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from nas.data import Dataset, Images, Normalisation
from nas.data.augment import Augmentation, default_augmentation
from nas.data.batches import Batch, EvalBatches, TrainBatches, eval_batches
from nas.data.resizing import ResizedImages, resize

EVERYTHING = Augmentation(
    flip=True,
    shift=0.125,
    zoom=0.5,
    randaugment="rand-m9-n2-mstd0.5",
    mixup=0.2,
    cutmix=1.0,
    label_smoothing=0.1,
)
PLAIN = Augmentation()


def _images(count: int, channels: int = 3, dtype: type = np.uint8, side: int = 12) -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, side, side, channels)).astype(dtype)
    return Images(pixels, np.arange(count, dtype=np.int64) % 5)


def _batches(images: Images, augmentation: Augmentation = PLAIN, seed: int = 0) -> TrainBatches:
    return TrainBatches(images, Normalisation.of(images), augmentation, 5, seed)


def _equal(a: Batch, b: Batch) -> bool:
    return torch.equal(a.images, b.images) and torch.equal(a.targets, b.targets)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augmentation", [PLAIN, EVERYTHING])
def test_a_batch_depends_on_seed_and_step_alone(channels: int, augmentation: Augmentation) -> None:
    images = _images(40, channels)
    straight = _batches(images, augmentation)
    expected = [straight.batch(step, 8, 16) for step in range(12)]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    resumed = _batches(images, augmentation)
    for step in (11, 3, 7):  # neither the order nor other resolutions between them matter
        resumed.batch(step, 8, 20)
        assert _equal(resumed.batch(step, 8, 16), expected[step])


def test_the_global_generators_are_left_as_they_were() -> None:
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    _batches(_images(16), EVERYTHING).batch(0, 8, 12)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


@pytest.mark.parametrize("augmentation", [PLAIN, EVERYTHING])
def test_seeds_and_steps_differ(augmentation: Augmentation) -> None:
    images = _images(16)
    first = _batches(images, augmentation)
    assert not _equal(first.batch(0, 16, 12), first.batch(1, 16, 12))
    assert not _equal(first.batch(0, 16, 12), _batches(images, augmentation, 1).batch(0, 16, 12))


def test_an_epoch_shows_every_image_once() -> None:
    images = _images(40)
    batches = _batches(images)
    assert batches.steps_per_epoch(8) == 5
    for epoch in range(2):
        steps = range(5 * epoch, 5 * epoch + 5)
        seen = torch.cat([batches.batch(step, 8, 12).images for step in steps])
        assert len(torch.unique(seen.flatten(1), dim=0)) == 40


def test_an_incomplete_batch_is_left_out() -> None:
    batches = _batches(_images(43))
    assert batches.steps_per_epoch(8) == 5
    assert {len(batches.batch(step, 8, 12).images) for step in range(11)} == {8}


def test_few_images_make_one_small_batch() -> None:
    batches = _batches(_images(7), EVERYTHING)
    assert batches.steps_per_epoch(64) == 1
    for step in range(3):
        batch = batches.batch(step, 64, 12)
        assert batch.images.shape == (7, 3, 12, 12) and batch.targets.shape == (7, 5)


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (9, np.float32)])
@pytest.mark.parametrize("resolution", [8, 12, 20])
def test_batches_are_channels_last_floats(channels: int, dtype: type, resolution: int) -> None:
    batch = _batches(_images(16, channels, dtype)).batch(0, 8, resolution)
    assert batch.images.shape == (8, channels, resolution, resolution)
    assert batch.images.dtype == batch.targets.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_training_images_have_mean_0_and_deviation_1() -> None:
    for dtype in (np.uint8, np.float32):
        images = _batches(_images(64, 3, dtype)).batch(0, 64, 12).images
        torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
        std = images.std((0, 2, 3), correction=0)
        torch.testing.assert_close(std, torch.ones(3), atol=1e-4, rtol=0)


def test_a_channel_that_never_changes_is_centred_and_finite() -> None:
    images = _images(8, 2, np.float32)
    images.pixels[..., 1] = 7.0
    batch = _batches(images).batch(0, 8, 12)
    assert (batch.images[:, 1] == 0).all() and batch.images.isfinite().all()


def test_small_numbers_are_normalised_like_large_ones() -> None:
    pixels = np.random.default_rng(0).normal(0, 3e-9, (9, 4, 4, 1)).astype(np.float32)
    normalisation = Normalisation.of(Images(pixels, np.zeros(9, np.int64)))
    assert normalisation.apply(pixels).std() == pytest.approx(1.0, rel=1e-3)


def test_a_small_change_of_a_large_number_is_seen() -> None:
    pixels = np.random.default_rng(0).normal(300, 2e-4, (9, 4, 4, 1))
    images = Images(pixels.astype(np.float32), np.zeros(9, np.int64))
    assert Normalisation.of(images).std[0] == pytest.approx(2e-4, rel=0.2)


def test_plain_targets_are_one_hot() -> None:
    batch = _batches(_images(16)).batch(0, 16, 12)
    assert set(batch.targets.unique().tolist()) == {0.0, 1.0}
    assert (batch.targets.sum(1) == 1).all()


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    batch = _batches(_images(16), Augmentation(label_smoothing=0.1)).batch(0, 16, 12)
    values = batch.targets.unique()
    torch.testing.assert_close(values, torch.tensor([0.02, 0.92]))


@pytest.mark.parametrize(
    "augmentation", [Augmentation(mixup=0.4), Augmentation(cutmix=1.0), EVERYTHING]
)
@pytest.mark.parametrize("count", [15, 16])
def test_mixed_targets_sum_to_1(augmentation: Augmentation, count: int) -> None:
    batches = _batches(_images(count), augmentation)
    targets = torch.cat([batches.batch(step, count, 12).targets for step in range(5)])
    torch.testing.assert_close(targets.sum(1), torch.ones(5 * count))
    assert (targets > 0.1).sum(1).max() == 2


def test_mixup_mixes_images_as_it_mixes_targets() -> None:
    images = _images(16)
    plain = _batches(images).batch(3, 16, 12)
    mixed = _batches(images, Augmentation(mixup=1.0)).batch(3, 16, 12)
    share = mixed.targets[0, plain.targets[0].argmax()]
    expected = share * plain.images + (1 - share) * plain.images.flip(0)
    assert 0 < share < 1
    torch.testing.assert_close(mixed.images, expected)


def test_shifts_and_flips_are_slices_of_the_image() -> None:
    images = _images(32)
    plain = _batches(images).batch(0, 32, 12).images
    varied = _batches(images, Augmentation(flip=True, shift=0.25)).batch(0, 32, 12).images
    black = _batches(Images(images.pixels * 0, images.labels)).batch(0, 32, 12).images
    assert black.isfinite().all()
    offsets = set()
    for before, after in zip(plain, varied, strict=True):
        offsets.add(next(_matches(before, after)))
    assert {mirrored for _, _, mirrored in offsets} == {False, True}
    assert max(abs(dy) for dy, _, _ in offsets) == max(abs(dx) for _, dx, _ in offsets) == 3


def _matches(before: torch.Tensor, after: torch.Tensor):  # type: ignore[no-untyped-def]
    for mirrored in (False, True):
        candidate = after.flip(-1) if mirrored else after
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                here = (slice(max(0, -dy), 12 - max(0, dy)), slice(max(0, -dx), 12 - max(0, dx)))
                there = (slice(max(0, dy), 12 + min(0, dy)), slice(max(0, dx), 12 + min(0, dx)))
                if torch.equal(candidate[:, *here], before[:, *there]):
                    yield dy, dx, mirrored


def test_copies_of_a_resolution_change_nothing_but_speed() -> None:
    images = _images(20)
    indices = np.array([3, 19, 0])
    kept, unkept = (ResizedImages(images, Normalisation.of(images), each) for each in (9.0, 0.0))
    for resolution in (8, 12, 20):
        np.testing.assert_array_equal(
            kept.take(indices, resolution), unkept.take(indices, resolution)
        )


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (9, np.float32)])
def test_resizing_keeps_the_type_and_a_flat_image_flat(channels: int, dtype: type) -> None:
    resized = resize(np.full((2, 12, 9, channels), 77, dtype), (20, 20))
    assert resized.shape == (2, 20, 20, channels) and resized.dtype == dtype
    np.testing.assert_allclose(resized, 77, rtol=1e-6)


def test_evaluation_shows_every_image_in_order() -> None:
    images = _images(23)
    rounds = EvalBatches(images, Normalisation.of(images))
    x, labels = map(torch.cat, zip(*rounds.batches(12, 8), strict=True))
    expected = torch.from_numpy(Normalisation.of(images).apply(images.pixels)).permute(0, 3, 1, 2)
    assert torch.equal(x, expected) and x.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
    np.testing.assert_array_equal(labels.numpy(), images.labels)
    again, _ = next(eval_batches(images, Normalisation.of(images), 12, 8))
    assert torch.equal(again, x[:8])


def test_digits_batch_at_any_resolution(digits: Dataset) -> None:
    batches = TrainBatches(
        digits.train, digits.normalisation, default_augmentation(digits), digits.shape.classes
    )
    for resolution in (16, 24, 32):
        batch = batches.batch(0, 64, resolution)
        assert batch.images.shape == (64, 1, resolution, resolution)
        assert batch.targets.shape == (64, 10)


def test_pixels_move_with_their_labels() -> None:
    images = _images(40)
    images.pixels[...] = images.labels[:, None, None, None]
    batch = _batches(images, Augmentation(flip=True)).batch(2, 40, 20)
    levels = batch.images[:, 0, 0, 0].unique()
    assert torch.equal(levels[batch.targets.argmax(1)], batch.images[:, 0, 0, 0])
