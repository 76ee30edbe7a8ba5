"""Labelled images in memory, and the two views of a data set: with and without the test split.

    Source --(hold-outs)--> Dataset --search_view()--> SearchData
    a reader's output       train, validation, test    train, validation

Pixels are (N, H, W, C): uint8 for pictures, float32 for anything else (depth, spectra, signals).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import final

import numpy as np
import numpy.typing as npt

from nas.reading import Fit
from search_spaces.data_shape import DataShape

PixelArray = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

MARGIN = 128
"""The grey level of the margins of padded images, as they are stored; where a network is used that
is normalised with another mean, they take its colour."""
EIGHT_BITS = (0.0, 256.0)
_CHUNK = 512
"""Images whose float64 copy is made at once: 50,000 CIFAR images at once would take 1.2 GB."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one size with their labels.

    Attributes:
        pixels: (N, H, W, C), uint8 or float32.
        labels: (N,) int64, positions in the data set's `classes`.
        sizes: (N, 2) int64, of images with margins: height and width that the pictures had in
            their files, which say where they lie (`nas.data.margins`). None without margins.
    """

    pixels: PixelArray
    labels: IntArray
    sizes: IntArray | None = None

    def __post_init__(self) -> None:
        """Checks what every reader of ours guarantees."""
        assert self.pixels.ndim == 4 and self.pixels.dtype in (np.uint8, np.float32)
        assert self.labels.shape == self.pixels.shape[:1] and self.labels.dtype == np.int64
        assert self.sizes is None or self.sizes.shape == (len(self.labels), 2)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """Channels of a pixel."""
        channels: int = self.pixels.shape[3]
        return channels

    def select(self, indices: IntArray) -> Images:
        """A copy of the images at `indices`; it holds no reference to the others."""
        sizes = None if self.sizes is None else self.sizes[indices]
        return Images(self.pixels[indices], self.labels[indices], sizes)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.generic], ...]:
        """All that the images consist of."""
        found = (self.pixels, self.labels)
        return found if self.sizes is None else (*found, self.sizes)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel, of the training images alone.

    Pictures are measured on a scale of 0 to 1, as is usual for vision models; float data as it is.

    Attributes:
        mean: Per channel, after division by `scale`.
        std: Per channel, after division by `scale`; 1 for a channel that never changes.
        scale: 255 for uint8 pixels, 1 for float32.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float

    @classmethod
    def of(cls, images: Images, fit: Fit = "squash") -> Normalisation:
        """The normalisation that gives these images mean 0 and standard deviation 1.

        Padded images get the colour of their margins as the mean: margins become 0, and timm,
        which pads with the mean, pads alike.
        """
        scale = 255.0 if images.pixels.dtype == np.uint8 else 1.0
        mean = images.pixels.mean(axis=(0, 1, 2), dtype=np.float64)
        squares = np.zeros_like(mean)
        for start in range(0, len(images), _CHUNK):
            squares += np.square(images.pixels[start : start + _CHUNK] - mean).sum(axis=(0, 1, 2))
        std = np.sqrt(squares / (images.pixels.size / images.channels)) / scale
        std[std <= 1e-7 * np.abs(mean / scale)] = 1.0  # of a channel that never changes
        if fit == "pad":
            mean = np.full_like(mean, MARGIN)
        return cls(tuple((mean / scale).tolist()), tuple(std.tolist()), scale)

    def apply(self, pixels: PixelArray) -> FloatArray:
        """`(pixels / scale - mean) / std` as float32, for pixels of shape (N, H, W, C)."""
        n, height, width, channels = pixels.shape
        std = np.asarray(self.std)
        # Whole rows of pixels rather than (..., C): NumPy's inner loop is then W*C long, not C.
        slope = np.tile((1.0 / (self.scale * std)).astype(np.float32), width)
        offset = np.tile((-np.asarray(self.mean) / std).astype(np.float32), width)
        rows = pixels.reshape(n, height, width * channels).astype(np.float32)
        rows *= slope
        rows += offset
        return rows.reshape(pixels.shape)


@dataclass(frozen=True)
class Source:
    """What a reader found: the official splits that exist, and what a person should know."""

    classes: tuple[str, ...]
    train: Images
    validation: Images | None = None
    test: Images | None = None
    notes: tuple[str, ...] = ()
    levels: tuple[float, float] = EIGHT_BITS
    """Of files with more than 8 bits: the least level, and the range that became 0 to 255."""


@dataclass(frozen=True, eq=False)
class Splits:
    """What `SearchData` and `Dataset` share: everything but the test images.

    Attributes:
        kind: How it was read, such as "folder"; see `nas.data.KINDS`.
        name: What to call it in a report.
        id: Hash of the images, labels and classes of every split, 12 hex digits.
        classes: Names, in the order of the labels.
        train: Images to fit weights on.
        validation: Images to compare architectures on.
        normalisation: From `train` only.
        notes: Sentences a person should read before trusting results.
        fit: How images that are not square become square.
        levels: See `Source`.
    """

    kind: str
    name: str
    id: str
    classes: tuple[str, ...]
    train: Images
    validation: Images
    normalisation: Normalisation
    notes: tuple[str, ...]
    fit: Fit
    levels: tuple[float, float] = field(default=EIGHT_BITS, kw_only=True)

    @property
    def shape(self) -> DataShape:
        """Channels of an image and number of classes, as networks need them."""
        return DataShape(self.train.channels, len(self.classes))

    @property
    def native_size(self) -> tuple[int, int]:
        """Height and width as stored; an architecture resizes to its own resolution."""
        return self.train.size

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Training images of each class."""
        return count_classes(self.train.labels, len(self.classes))


@final
@dataclass(frozen=True, eq=False)
class SearchData(Splits):
    """A data set as a search sees it. There is no test split here and no way to it."""


@dataclass(frozen=True, eq=False)
class Dataset(Splits):
    """Training, validation and test images. The test split opens by name only: `open_test()`."""

    _test: Images = field(repr=False)

    def search_view(self) -> SearchData:
        """The same data without the test split."""
        return SearchData(**{each.name: getattr(self, each.name) for each in fields(SearchData)})

    def open_test(self) -> Images:
        """The test images. For the final score of a retrained network, and nothing before it."""
        return self._test


def count_classes(labels: IntArray, num_classes: int) -> tuple[int, ...]:
    """How often each class occurs, absent ones as 0."""
    return tuple(np.bincount(labels, minlength=num_classes).tolist())
