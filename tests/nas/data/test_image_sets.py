"""Fashion-MNIST and CIFAR-10: their formats on small files, and the real sets where they are."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import load_data
from nas.data.formats import cifar10, idx
from nas.errors import DataError

RNG = np.random.default_rng(0)


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}i", *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def _write_fashion(folder: Path, suffix: str = "", labels: int = 20) -> np.ndarray:
    pixels = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for prefix in ("train", "t10k"):
        _write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", pixels)
        _write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(labels) % 10)
    return pixels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_raw_and_gzipped(tmp_path: Path, suffix: str) -> None:
    pixels = _write_fashion(tmp_path, suffix)
    source = idx.read(tmp_path)
    assert source.test is not None and source.validation is None
    np.testing.assert_array_equal(source.test.pixels[..., 0], pixels)
    np.testing.assert_array_equal(source.train.labels, np.arange(20) % 10)


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    _write_fashion(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"has no t10k-labels-idx1-ubyte\.gz .*is four files"):
        idx.read(tmp_path)


def test_an_idx_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    _write_fashion(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="promises 15680 bytes and holds 15580. Fetch it again"):
        idx.read(tmp_path)


def test_a_gzip_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    _write_fashion(tmp_path, ".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"is not a whole gzip file \("):
        idx.read(tmp_path)


def test_a_file_that_is_not_idx_is_refused(tmp_path: Path) -> None:
    _write_fashion(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    _write_idx(path, np.zeros((2, 2)))
    with pytest.raises(DataError, match="not an IDX file of 1-dimensional bytes: .*00000802"):
        idx.read(tmp_path)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    _write_fashion(tmp_path, labels=19)
    with pytest.raises(DataError, match="has 20 train images but 19 train labels"):
        idx.read(tmp_path)


def test_labels_of_another_set_are_refused(tmp_path: Path) -> None:
    _write_fashion(tmp_path)
    _write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(20))
    with pytest.raises(DataError, match="has label 19, but Fashion-MNIST has classes 0 to 9"):
        idx.read(tmp_path)


def _write_mosaics(path: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    padded = np.zeros((-(-len(pixels) // 64) * 64, 32, 32, 3), np.uint8)
    padded[: len(pixels)] = pixels
    files = []
    for mosaic in padded.reshape(-1, 8, 8, 32, 32, 3).swapaxes(2, 3).reshape(-1, 256, 256, 3):
        buffer = io.BytesIO()
        Image.fromarray(mosaic).save(buffer, "WEBP", lossless=True, exact=True)
        files.append(buffer.getvalue())
    np.savez(
        path,
        mosaics=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        labels=labels.astype(np.uint8),
        exact=np.arange(len(labels)) > 1,
    )


def _write_cifar(folder: Path, prefix: str = "cifar10") -> np.ndarray:
    pixels = RNG.integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)
    for split in ("train", "test"):
        _write_mosaics(folder / f"{prefix}_{split}.npz", pixels, np.arange(70) % 10)
    return pixels


def test_mosaics_are_cut_into_their_images(tmp_path: Path) -> None:
    pixels = _write_cifar(tmp_path)
    source = cifar10.read(tmp_path)
    assert source.test is not None
    np.testing.assert_array_equal(source.train.pixels, pixels)
    np.testing.assert_array_equal(source.test.labels, np.arange(70) % 10)
    assert source.notes[0] == "2 of 70 images of cifar10_train.npz are JPEG copies of the original"


def test_the_full_copy_is_preferred_to_the_compact_one(tmp_path: Path) -> None:
    compact = _write_cifar(tmp_path, "cifar10_compact")
    source = cifar10.read(tmp_path)
    np.testing.assert_array_equal(source.train.pixels, compact)
    assert "compact copy of CIFAR-10" in source.notes[0]
    full = _write_cifar(tmp_path)
    np.testing.assert_array_equal(cifar10.read(tmp_path).train.pixels, full)


def _write_binary(folder: Path) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    pixels = RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    planes = pixels.transpose(0, 3, 1, 2).reshape(10, -1)
    records = np.concatenate([np.arange(10, dtype=np.uint8)[:, None], planes], axis=1)
    for name in [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]:
        (folder / name).write_bytes(records.tobytes())
    return pixels


@pytest.mark.parametrize("inner", [".", "cifar-10-batches-bin"])
def test_the_binary_version_is_read(tmp_path: Path, inner: str) -> None:
    pixels = _write_binary(tmp_path / inner)
    source = cifar10.read(tmp_path)
    assert source.test is not None and len(source.train) == 50
    np.testing.assert_array_equal(source.test.pixels, pixels)


@pytest.mark.parametrize("name", ["data_batch_1", "cifar-10-batches-py/data_batch_1"])
def test_pickles_are_refused_unread(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(DataError, match=r"pickle runs code from the file, so it is refused\. Use"):
        cifar10.read(tmp_path)


def test_a_folder_without_cifar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not hold CIFAR-10\. Expected `cifar10_train\.npz`"):
        cifar10.read(tmp_path)


@pytest.mark.parametrize("length", [0, 3073 * 10 - 1])
def test_half_a_record_is_refused(tmp_path: Path, length: int) -> None:
    _write_binary(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        DataError, match=rf"batch_3.* \({length} bytes are not whole records of 3073"
    ):
        cifar10.read(tmp_path)


def test_damaged_mosaics_are_refused(tmp_path: Path) -> None:
    _write_cifar(tmp_path)
    path = tmp_path / "cifar10_test.npz"
    arrays = dict(np.load(path))
    for damage, message in (
        ({"labels": arrays["labels"] + 5}, "labels 5 to 14 instead of 0 to 9"),
        ({"labels": np.zeros(200)}, "200 labels for 128 images"),
        ({"mosaics": arrays["mosaics"][::-1]}, "cannot identify image file"),
    ):
        np.savez(path, **{**arrays, **damage})
        with pytest.raises(DataError, match=rf"cifar10_test\.npz' is damaged .*{message}"):
            cifar10.read(tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="is damaged or not CIFAR-10"):
        cifar10.read(tmp_path)


def test_fashion_mnist_is_whole(image_sets: Path) -> None:
    data = load_data(f"fashion-mnist:{image_sets / 'fashion_mnist'}")
    assert data.class_counts == (5100,) * 10
    assert (len(data.validation), len(data.open_test())) == (9000, 10000)
    assert data.classes[9] == "Ankle boot" and data.native_size == (28, 28)
    assert data.normalisation.mean == pytest.approx((0.2860,), abs=1e-3)  # as published
    assert data.normalisation.std == pytest.approx((0.3530,), abs=1e-3)


@pytest.mark.slow
def test_cifar10_is_whole(image_sets: Path) -> None:
    data = load_data(f"cifar10:{image_sets / 'cifar10'}")
    assert data.class_counts == (4250,) * 10
    assert (len(data.validation), len(data.open_test())) == (7500, 10000)
    assert data.normalisation.mean == pytest.approx(
        (0.4914, 0.4822, 0.4465), abs=1e-3
    )  # published
    assert data.normalisation.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=1e-3)
