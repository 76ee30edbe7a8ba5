from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import nas
from nas.cli import app
from nas.result import FrontMember, Outcome, RunResult


class FakePipeline:
    """Records the calls that the command line makes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.error: BaseException | None = None
        self.result: RunResult | Outcome = Outcome(("a line",), {"a": "document"})

    def __getattr__(self, name: str) -> Callable[..., RunResult | Outcome]:
        def call(*arguments: Any, console: Any, **options: Any) -> RunResult | Outcome:
            self.calls.append((name, arguments, options))
            console.step("a step")
            console.say("a fact")
            with console.task("work", 2) as advance:
                advance(1, "half")
            print("what a library prints")
            if self.error is not None:
                raise self.error
            return self.result

        return call


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    fake = FakePipeline()
    monkeypatch.setattr(nas, "pipeline", fake, raising=False)
    monkeypatch.setattr(nas, "commands", fake, raising=False)
    monkeypatch.setattr(nas, "predicting", fake, raising=False)
    return fake


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`nas` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def found() -> RunResult:
    """A run with one member in its front."""
    member = FrontMember(
        id="0123456789ab",
        accuracy=0.975,
        predicted_ms=4.2,
        low_ms=3.9,
        high_ms=4.6,
        macs=12_000_000,
        params=345_678,
        memory_mib=1.5,
        measured_ms=4.31,
    )
    return RunResult(
        path=Path("results/one"),
        targets=("cpu, eager, float32, channels_last, batch 1, 2 threads",),
        finished=("space", "supernet", "latency", "search"),
        front=(member,),
        evaluations=200,
        exported=(Path("results/one/networks/0123456789ab"),),
        notes=("resized from 8 to 16 px",),
    )
