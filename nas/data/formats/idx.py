"""Fashion-MNIST: four IDX files, plain or gzipped.

    magic (0, 0, type = 8 for uint8, dimensions) | each dimension as big-endian int32 | the bytes

Paper: Fashion-MNIST, Xiao et al. 2017, https://arxiv.org/abs/1708.07747
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.data.images import Images, Source
from nas.errors import DataError

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def read(folder: Path) -> Source:
    """The official training and test images of a folder.

    Raises:
        DataError: a file is missing or is not what its name says.
    """
    return Source(CLASSES, train=_read_split(folder, "train"), test=_read_split(folder, "t10k"))


def _read_split(folder: Path, prefix: str) -> Images:
    pixels = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), dimensions=3)
    path = _find(folder, f"{prefix}-labels-idx1-ubyte")
    labels = read_idx(path, dimensions=1).astype(np.int64)
    if len(pixels) != len(labels) or not len(labels):
        raise DataError(
            f"'{folder}' has {len(pixels)} {prefix} images but {len(labels)} {prefix} labels. "
            "Fetch both files again."
        )
    if labels.max() >= len(CLASSES):
        raise DataError(
            f"'{path}' has label {labels.max()}, but Fashion-MNIST has classes 0 to "
            f"{len(CLASSES) - 1}. Other data can be given as `npz:FILE`."
        )
    return Images(pixels[..., None], labels)


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"'{folder}' has no {name}.gz (nor {name}). Fashion-MNIST is four files, train-* and "
        "t10k-*, each images and labels; get them from https://github.com/zalandoresearch/fashion-mnist."
    )


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The uint8 array of an IDX file.

    Raises:
        DataError: it is damaged, or not an IDX file of so many dimensions.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"'{path}' is not a whole gzip file ({error}). Fetch it again.") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(
            f"'{path}' is not an IDX file of {dimensions}-dimensional bytes: it starts with "
            f"{data[:4].hex() or 'nothing'}, not {bytes((0, 0, 8, dimensions)).hex()}."
        )
    shape = struct.unpack(f">{dimensions}i", data[4:header])
    if len(data) - header != np.prod(shape):
        raise DataError(
            f"'{path}' is cut off or damaged: it promises {int(np.prod(shape))} bytes "
            f"and holds {len(data) - header}. Fetch it again."
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()
