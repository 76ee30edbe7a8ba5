"""A space whose parts are measured in a second, and a machine that follows a script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.latency import Effort, Plan
from nas.latency.timing.machine import Pass
from nas.progress import Progress
from search_spaces.definition import read_definition
from search_spaces.space import SearchSpace

SPACE = """
schema: 1
name: minute
resolution: [8, 16]
stem: [conv: {stride: 2}]
stages:
- width: [8]
  depth: [0, 1]
  mixers: [pool]
"""
Shape = tuple[int, ...]


class ScriptedMachine:
    """A `Machine` on which a network takes the milliseconds that a function says.

    None stands for a network that the memory does not hold.
    """

    def __init__(self, ms_of: Callable[[nn.Module, Shape], float | None]) -> None:
        self._ms_of = ms_of

    def ready(self) -> AbstractContextManager[None]:
        return nullcontext()

    def images(self, shape: Shape, rng: np.random.Generator) -> Tensor:
        return torch.zeros(shape)

    def passes(
        self,
        networks: Sequence[nn.Module],
        shapes: Sequence[Shape],
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Pass | None]:
        return [self._pass(*pair) for pair in zip(networks, shapes, strict=True)]

    def facts(self) -> dict[str, Any]:
        return {"model": "a scripted machine"}

    def state(self) -> dict[str, Any]:
        return {}

    def _pass(self, network: nn.Module, shape: Shape) -> Pass | None:
        ms = self._ms_of(network, shape)
        return None if ms is None else lambda images: [0, round(ms * 1e6)]


@pytest.fixture
def scripted() -> type[ScriptedMachine]:
    """Makes machines that follow a script."""
    return ScriptedMachine


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(read_definition(SPACE, "minute"))


@pytest.fixture
def plan() -> Plan:
    # Any figures will do, however busy the machine that runs the tests is.
    brief = Effort(0.0, least=2, most=2)
    return Plan(times=1, whole_networks=4, widest=math.inf, effort=brief)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
