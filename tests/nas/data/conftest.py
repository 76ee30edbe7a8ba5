"""Small data sets, written to a temporary folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import Dataset, load_data

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Writes a folder of random PNGs: `make_folder({"cat": 5, "dog": 5}, mode="L")`."""

    def make(
        counts: dict[str, int], *, mode: str = "RGB", size: tuple[int, int] = (12, 12)
    ) -> Path:
        rng = np.random.default_rng(0)
        for name, count in counts.items():
            folder = tmp_path / "images" / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number}.png")
        return tmp_path / "images"

    return make


@pytest.fixture
def make_npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes an archive of the arrays given by name."""

    def make(**arrays: np.ndarray) -> Path:
        path = tmp_path / "arrays.npz"
        np.savez(path, allow_pickle=True, **arrays)
        return path

    return make


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The embedded digits with the default split."""
    return load_data("digits")


@pytest.fixture(scope="session")
def image_sets() -> Path:
    """The folder that holds Fashion-MNIST and CIFAR-10, where there is one."""
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("NAS_TEST_DATA", default))
    if not (folder / "fashion_mnist").is_dir():
        pytest.skip(f"no image sets in {folder}; set NAS_TEST_DATA to the folder that holds them")
    return folder
