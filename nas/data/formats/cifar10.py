"""CIFAR-10 in either of two forms that are read without running code from the file.

- `cifar10_train.npz` and `cifar10_test.npz`: WebP mosaics of 8x8 images in one byte array, or
  `cifar10_compact_*.npz`, the same as JPEG (mean PSNR 37 dB).
- `data_batch_1.bin` ... `test_batch.bin`, the official binary version: records of one label byte
  and 3 x 1024 bytes of red, green and blue.

The official Python version is pickled, and unpickling runs whatever the file says: refused.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nas.data.images import Images, Source
from nas.errors import DataError

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE
_TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_COMPACT_NOTE = "compact copy of CIFAR-10: JPEG, mean PSNR 37 dB; results differ from the original"


def read(folder: Path) -> Source:
    """The official training and test images of a folder.

    Raises:
        DataError: there is no readable form of CIFAR-10, or a file is damaged.
    """
    for prefix, notes in (("cifar10", ()), ("cifar10_compact", (_COMPACT_NOTE,))):
        paths = [folder / f"{prefix}_{split}.npz" for split in ("train", "test")]
        if all(path.is_file() for path in paths):
            (train, train_notes), (test, test_notes) = (_read_mosaics(path) for path in paths)
            notes = (*notes, *train_notes, *test_notes)
            return Source(CLASSES, train=train, test=test, notes=notes)
    for candidate in (folder, folder / "cifar-10-batches-bin"):
        if all((candidate / name).is_file() for name in (*_TRAIN_BATCHES, "test_batch.bin")):
            train = _read_binary([candidate / name for name in _TRAIN_BATCHES])
            return Source(CLASSES, train=train, test=_read_binary([candidate / "test_batch.bin"]))
    raise _nothing_readable(folder)


def _nothing_readable(folder: Path) -> DataError:
    wanted = (
        "`cifar10_train.npz` and `cifar10_test.npz`, or the binary version (data_batch_1.bin to "
        "data_batch_5.bin and test_batch.bin, from cifar-10-binary.tar.gz at "
        "https://www.cs.toronto.edu/~kriz/cifar.html)"
    )
    pickled = [folder / "data_batch_1", folder / "cifar-10-batches-py"]
    if any(path.exists() for path in pickled):
        return DataError(
            f"'{folder}' holds the Python version of CIFAR-10, which is pickled: reading a pickle "
            f"runs code from the file, so it is refused. Use {wanted}."
        )
    return DataError(f"'{folder}' does not hold CIFAR-10. Expected {wanted}.")


def _read_mosaics(path: Path) -> tuple[Images, tuple[str, ...]]:
    """The images of an archive, and a note if not all of them have their original pixels."""
    try:
        # Opened here, because np.load forgets to close what it refuses.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = archive["mosaics"].tobytes()
            offsets, labels = archive["offsets"], archive["labels"].astype(np.int64)
            altered = int(np.count_nonzero(~archive["exact"])) if "exact" in archive else 0
        files = [data[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
            pixels = np.concatenate(list(pool.map(_cut_mosaic, files)))[: len(labels)]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    note = f"{altered} of {len(labels)} images of {path.name} are JPEG copies of the original"
    return _checked(path, pixels, labels), (note,) if altered else ()


def _cut_mosaic(data: bytes) -> npt.NDArray[np.uint8]:
    """The 64 images of one 256x256 mosaic, row by row: (64, 32, 32, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        mosaic = np.asarray(image.convert("RGB"))
    grid = mosaic.reshape(8, _SIDE, 8, _SIDE, 3).swapaxes(1, 2)
    return grid.reshape(64, _SIDE, _SIDE, 3)


def _read_binary(paths: list[Path]) -> Images:
    pixels, labels = [], []
    for path in paths:
        data = path.read_bytes()
        if not data or len(data) % _RECORD:
            raise _damaged(path, f"{len(data)} bytes are not whole records of {_RECORD}")
        records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _RECORD)
        pixels.append(records[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))
        labels.append(records[:, 0].astype(np.int64))
    return _checked(paths[0], np.concatenate(pixels), np.concatenate(labels))


def _checked(path: Path, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Images:
    if len(pixels) != len(labels):
        raise _damaged(path, f"{len(labels)} labels for {len(pixels)} images")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise _damaged(path, f"labels {labels.min()} to {labels.max()} instead of 0 to 9")
    return Images(np.ascontiguousarray(pixels), labels)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"'{path}' is damaged or not CIFAR-10 ({reason}). Fetch it again.")
