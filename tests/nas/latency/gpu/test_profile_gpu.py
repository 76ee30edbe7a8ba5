"""`scripts/profile_gpu.py`: what can be measured of a network is kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from nas.latency import Effort, Target

SCRIPT = Path(__file__).parents[4] / "scripts" / "profile_gpu.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("profile_gpu", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setitem(sys.modules, "profile_gpu", module)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec.loader.exec_module(module)
    return module


def test_a_runtime_that_fails_leaves_the_others_rows(
    script: ModuleType, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(clock, "captured", refuse)
    target, brief = Target("a100", precision="fp32"), Effort(0.0, least=2, most=2)
    network, runtimes = nn.Conv2d(3, 4, 3), ("cuda-graph", "eager")
    rows = script.measured(network, (3, 8, 8), target, runtimes, clock, brief)
    failed, measured = rows
    assert failed.pop("error").startswith("ExportError: a100 cannot run this network in cuda-gr")
    assert failed == {"runtime": "cuda-graph", "resolution": 8}
    assert measured.keys() == {"runtime", "resolution", "ms", "spread", "rounds"}
    assert measured["runtime"] == "eager"
