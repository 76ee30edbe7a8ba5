"""For tests of the whole flow: a minute space, images as small, and someone who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

SPACE = """
schema: 1
name: minute
resolution: 8
stem: [conv: {stride: [2, 1]}]
stages:
- {width: [8, 16], depth: [1, 2], mixers: [pool, depthwise: {kernel: [3, 5]}],
   channel_mixers: [none, mlp: {ratio: [1, 2]}]}
"""


class Heard:
    """A `Progress` that keeps what a person was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, name: str) -> None:
        self.said.append(name)

    say = step

    def task(self, what: str, total: int) -> nullcontext[object]:
        return nullcontext(lambda done, note: None)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """What a person was told in the tests of a module."""
    return Heard()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `images.npz` (3 classes) and `minute.yaml`, and the cache of its tests."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = rng.integers(0, 80, (240, 8, 8), dtype=np.uint8)
    for label in range(3):
        images[labels == label, label * 2 : label * 2 + 3] += 120
    np.savez(home / "images.npz", images=images, labels=labels)
    (home / "minute.yaml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE_DIR", str(home / "cache"))
        yield home
