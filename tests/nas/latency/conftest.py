"""A space so small that its parts are measured in a second."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nas.latency import Effort, Plan
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
