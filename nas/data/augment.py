"""Random changes of training images: shifts, flips, RandAugment, mixup and CutMix.

Shifts and flips are slices of NumPy arrays: this takes 0.2 ms for 64 images of 32x32x3. A gather
in torch takes 0.5-1.5 ms on one thread, and far more when two threads share a loaded core.

Papers: RandAugment, Cubuk et al. 2019, https://arxiv.org/abs/1909.13719
        mixup, Zhang et al. 2017, https://arxiv.org/abs/1710.09412
        CutMix, Yun et al. 2019, https://arxiv.org/abs/1905.04899
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data.images import IntArray, PixelArray, Splits
from nas.errors import SettingsError
from supernet.randomness import Stream, generator, global_seed

MixFunction = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_RANDAUGMENT = re.compile(r"rand(-(m\d+|n\d+|p[01](\.\d+)?|mstd\d+(\.\d+)?|mmax\d+|inc[01]))*")


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied. The default leaves them as they are.

    Attributes:
        flip: Mirror left and right, half of the time.
        shift: Largest shift in either direction as a share of the side; zeros come in.
        zoom: Smallest share of an image's area that is shown, enlarged; 1 for whole images.
        randaugment: timm's notation, such as "rand-m9-n2-mstd0.5"; None for none.
        mixup: Alpha of mixup's Beta distribution; 0 for none.
        cutmix: Alpha of CutMix's Beta distribution; 0 for none.
        label_smoothing: Share of the target that is spread over all classes.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 1.0
    randaugment: str | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Raises SettingsError for a value of another type or outside its range."""
        if not isinstance(self.flip, bool):
            raise SettingsError(f"flip is {self.flip}; write flip=true or flip=false.")
        for name in ("shift", "zoom", "mixup", "cutmix", "label_smoothing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SettingsError(f"{name} is {value}; it is a number.")
        for name, value in (("shift", self.shift), ("label_smoothing", self.label_smoothing)):
            if not 0.0 <= value < 1.0:
                raise SettingsError(f"{name} is {value}; it is a share, at least 0 and below 1.")
        if not 0.0 < self.zoom <= 1.0:
            raise SettingsError(
                f"zoom is {self.zoom}; it is the smallest share of an image that is shown, above "
                "0 and at most 1."
            )
        for name, value in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not 0.0 <= value < float("inf"):
                raise SettingsError(f"{name} is {value}; it is at least 0, where 0 means none.")
        if self.randaugment is not None and not _RANDAUGMENT.fullmatch(str(self.randaugment)):
            raise SettingsError(
                f"randaugment is '{self.randaugment}'; write it as timm does, "
                "for example 'rand-m9-n2-mstd0.5'."
            )

    def __str__(self) -> str:
        """What happens to training images, as a person is told."""
        if self.flip:
            words = ["mirrored left and right at random (switch it off with --no-mirror)"]
        else:
            words = ["never mirrored"]
        if self.zoom < 1.0:
            words += [f"shown in parts of {self.zoom:.0%} of their area or more"]
        words += [f"shifted by up to {self.shift:.1%} of their side"] if self.shift else []
        words += [f"varied by RandAugment ({self.randaugment})"] if self.randaugment else []
        words += ["mixed with each other"] if self.mixes else []
        return f"training images are {', '.join(words)}"

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return self.mixup > 0.0 or self.cutmix > 0.0


def default_augmentation(data: Splits) -> Augmentation:
    """The usual augmentation of this kind of data.

    Digits and arrays of unknown meaning are not flipped: a mirrored 2 is not a 2. Images are
    shifted by up to an eighth of their side, as is usual (4 of 32 pixels).
    """
    return Augmentation(flip=data.kind not in ("digits", "npz"), shift=0.125)


def shift_and_flip(
    pixels: PixelArray, augmentation: Augmentation, seed: int, step: int
) -> PixelArray:
    """Shift and mirror each image of a batch at random, (B, R, R, C) to the same shape."""
    if not (augmentation.flip or augmentation.shift):
        return pixels
    rng = generator(seed, Stream.GEOMETRY, step)
    count, side = len(pixels), pixels.shape[1]
    margin = round(augmentation.shift * side)
    # Shares of the margin, so that a step shifts the same images the same way at any resolution.
    corners = (rng.random((count, 2)) * (2 * margin + 1)).astype(int)
    mirrored = (rng.random(count) < 0.5) & augmentation.flip
    padded = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    out = np.empty_like(pixels)
    for image, source, (top, left), mirror in zip(out, padded, corners, mirrored, strict=True):
        window = source[top : top + side, left : left + side]
        image[...] = window[:, ::-1] if mirror else window
    return out


class RandAugment:
    """timm's RandAugment on batches of grey or RGB uint8 arrays."""

    def __init__(self, policy: str, channels: int, is_uint8: bool) -> None:
        """Raises SettingsError if the images are neither grey nor RGB pictures."""
        if channels not in (1, 3) or not is_uint8:
            found = f"{channels} channels of {'uint8' if is_uint8 else 'float32'}"
            raise SettingsError(
                f"RandAugment ('{policy}') works on grey or RGB uint8 images, and these have "
                f"{found}. Leave randaugment out."
            )
        self._policy = policy

    def __call__(self, pixels: PixelArray, seed: int, step: int) -> PixelArray:
        """Varies each image, (B, R, R, C) to the same shape."""
        from nas.timm_library import rand_augment_transform

        side, channels = pixels.shape[1], pixels.shape[3]
        hints = {"translate_const": round(0.45 * side), "img_mean": (128, 128, 128)}
        transform = rand_augment_transform(self._policy, hints)
        out = np.empty_like(pixels)
        with global_seed(seed, Stream.RANDAUGMENT, step):
            for image, source in zip(out, pixels, strict=True):
                # Grey goes through RGB: timm's fill colours are triples.
                picture = Image.fromarray(source.squeeze(-1) if channels == 1 else source)
                varied = transform(picture.convert("RGB"))
                image[...] = np.asarray(varied.convert(picture.mode)).reshape(image.shape)
        return out


class Mixing:
    """timm's mixup and CutMix with one mixing share per batch, and label smoothing."""

    def __init__(self, augmentation: Augmentation, num_classes: int) -> None:
        """Timm is imported when images are first mixed: it takes seconds, and few runs mix."""
        self._augmentation = augmentation
        self._num_classes = num_classes

    def __call__(
        self, images: Tensor, labels: IntArray, seed: int, step: int
    ) -> tuple[Tensor, Tensor]:
        """Images (B, C, R, R), changed in place, and targets (B, classes) whose rows sum to 1."""
        targets = self._one_hot(labels)
        # timm pairs image i with image -i and wants an even batch: an odd one's last stays plain.
        even = len(labels) // 2 * 2
        if self._augmentation.mixes and even:
            mix = self._timm_mixup()
            with global_seed(seed, Stream.MIXING, step):
                _, targets[:even] = mix(images[:even], torch.from_numpy(labels[:even]))
        return images, targets

    def _one_hot(self, labels: IntArray) -> Tensor:
        spread = self._augmentation.label_smoothing / self._num_classes
        targets = torch.full((len(labels), self._num_classes), spread)
        targets[torch.arange(len(labels)), torch.from_numpy(labels)] += (
            1.0 - self._augmentation.label_smoothing
        )
        return targets

    def _timm_mixup(self) -> MixFunction:
        from nas.timm_library import Mixup

        mix: MixFunction = Mixup(  # type: ignore[no-untyped-call]
            mixup_alpha=self._augmentation.mixup,
            cutmix_alpha=self._augmentation.cutmix,
            label_smoothing=self._augmentation.label_smoothing,
            num_classes=self._num_classes,
        )
        return mix
