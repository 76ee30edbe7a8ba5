"""For tests of the whole flow: a minute space, images as small, someone who listens, a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.latency import Target
from nas.latency.timing import gpu as machine
from nas.latency.timing.cuda import Gpu

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


class FakeMachine:
    """A machine on which every network takes as long; its memory may hold only the first ones."""

    def __init__(self, ms: float = 1.0, holds: int | None = None) -> None:
        self.ms, self.holds = ms, holds

    def __call__(self, target: Target) -> FakeMachine:
        """The machine of any target."""
        return self

    def ready(self) -> nullcontext[None]:
        return nullcontext()

    def images(self, shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
        return torch.zeros(0)

    def passes(self, networks: Sequence[object], *_: object) -> list[Any]:
        held = len(networks) if self.holds is None else self.holds
        took = int(self.ms * 1e6)
        return [(lambda x: [0, took]) if i < held else None for i in range(len(networks))]

    def facts(self) -> dict[str, Any]:
        return {"model": "a made-up machine"}

    def state(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def fake_machine() -> type[FakeMachine]:
    """To be called with milliseconds; tests cannot import from here."""
    return FakeMachine


class FakeClock:
    """The processor in a GPU's place."""

    device = torch.device("cpu")

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.tf32, self.captures, self.busy = gpu, False, 0, 0

    @contextmanager
    def ready(self, tf32: bool) -> Iterator[None]:
        self.tf32 = tf32
        yield

    def ms(self, run: Callable[[], object]) -> float:
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3

    def captured(self, run: Callable[[], object]) -> Callable[[], object]:
        self.captures += 1
        run()
        return run

    def forget(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"model": self.gpu.title}

    def state(self) -> dict[str, Any]:
        return {"sm_mhz": 1410.0}

    def programs(self) -> int:
        return 1 + self.busy


A100 = Gpu(0, "NVIDIA A100-SXM4-80GB", "a100", 108, 81_000, 40.0, "GPU-abc")


@pytest.fixture
def clock() -> FakeClock:
    """Of no real GPU."""
    return FakeClock(A100)


@pytest.fixture
def a100_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """An A100 is at hand, which is as fast as this processor."""
    monkeypatch.setattr(machine, "gpus", lambda: [A100])
    monkeypatch.setattr(machine, "CudaClock", FakeClock)
