from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nas import pipeline
from nas.cli import app
from nas.commands import dry_run, evolve_space, predict, steps
from nas.result import FrontMember, Latency, NamedTarget, Outcome, RunResult
from search_spaces import load_space

HEAVY = {
    pipeline: ("run", "resume"),
    steps: ("train", "measure", "write_kit", "import_times", "retrain", "export", "report"),
    predict: ("predict",),
    dry_run: ("dry_run",),
    evolve_space: ("evolve_space",),
}
"""What commands call to do their work."""


class Recorder:
    """Takes the calls that the command line makes, in place of what they would do."""

    def __init__(self, found: RunResult) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.error: BaseException | None = None
        self.found = found
        self.document: dict[str, Any] = {"a": "document"}

    def stand_in(self, name: str) -> Callable[..., RunResult | Outcome]:
        """A function that notes its arguments and says a little, as the real one does."""

        def call(*arguments: Any, console: Any, **options: Any) -> RunResult | Outcome:
            self.calls.append((name, arguments, options))
            console.step("a step")
            console.say("a fact")
            with console.task("work", 2) as advance:
                advance(1, "half")
            print("what a library prints")
            if self.error is not None:
                raise self.error
            if name in ("run", "resume", "retrain"):
                return self.found
            return Outcome(("a line",), self.document)

        return call


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, found: RunResult) -> Recorder:
    """Nothing heavy is done; the calls are noted."""
    recorder = Recorder(found)
    for module, names in HEAVY.items():
        for name in names:
            monkeypatch.setattr(module, name, recorder.stand_in(name))
    return recorder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`nas` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def found() -> RunResult:
    """A run with one member in its front."""
    space = load_space("macro")
    code = space.smallest()
    member = FrontMember(
        id="0123456789ab",
        code=tuple(code.tolist()),
        architecture=space.decode(code),
        accuracy=0.975,
        balanced_accuracy=0.961,
        loss=0.2,
        latencies=(Latency("cpu", 4.2, 3.9, 4.6, measured_ms=4.31),),
        macs=12_000_000,
        params=345_678,
        memory_mib=1.5,
    )
    words = "cpu (eager, fp32, channels_last, batch 1, 2 threads)"
    return RunResult(
        path=Path("results/one"),
        targets=(NamedTarget("cpu", words),),
        finished=("space", "latency", "supernet", "search"),
        front=(member,),
        evaluations=200,
        exported=(Path("results/one/networks/0123456789ab"),),
        notes=("resized from 8 to 16 px",),
    )
