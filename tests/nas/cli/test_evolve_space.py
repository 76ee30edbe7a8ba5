from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from nas.latency import Target
from nas.settings import Settings
from nas.space_evolution.costs import Limits
from nas.space_evolution.request import Request

if TYPE_CHECKING:
    from conftest import Recorder


def test_without_options_multiply_adds_are_compared(
    run: Callable[..., Result], called: Recorder
) -> None:
    result = run("evolve-space")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "a line\n"
    assert "a fact" in result.stderr
    assert called.calls == [
        (
            "evolve_space",
            (Request(Settings(space="hybrid-tiny", metric="accuracy")), 3),
            {"out": None},
        )
    ]


def test_every_option_reaches_the_request(run: Callable[..., Result], called: Recorder) -> None:
    text = """evolve-space --space macro --data npz:/x.npz --generations 2 --evaluations 50
        --budget 5ms --max-params 2M --max-macs 50M --out mine --seed 7 --hardware a100
        --runtime eager --precision fp16 --layout channels_last --batch-size 4 --confidence 0.8
        --metric balanced_accuracy --epochs 3 --recipe ema_decay=0.9 --json"""
    result = run(*text.split())
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"a": "document"}
    settings = Settings(
        space="macro",
        data="npz:/x.npz",
        seed=7,
        epochs=3,
        recipe={"ema_decay": 0.9},
        metric="balanced_accuracy",
    )
    target = Target("a100", "eager", "fp16", "channels_last", 4)
    limits = Limits(latency_ms=5.0, max_macs=50_000_000, max_params=2_000_000)
    request = Request(settings, target, limits, 50, 0.8)
    assert called.calls == [("evolve_space", (request, 2), {"out": Path("mine")})]


def test_a_budget_in_time_is_one_on_this_cpu(run: Callable[..., Result], called: Recorder) -> None:
    run("evolve-space", "--budget", "5ms", "--threads", "1")
    (request, _) = called.calls[0][1]
    assert request.target == Target("cpu", threads=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "hybrid-tyni"], "Unknown space 'hybrid-tyni'. Did you mean 'hybrid-tiny'?"),
        (["--data", "digit"], "Did you mean 'digits'?"),
        (["--hardware", "a100x"], "Unknown hardware 'a100x'. Did you mean 'a100'?"),
        (["--budget", "5"], "The duration '5' has no unit; write 5ms"),
        (["--threads", "2"], "--threads belong to a device: give --hardware"),
        (["--evaluations", "3"], "Invalid value for '--evaluations'"),
        (["--generations", "0"], "Invalid value for '--generations'"),
        (["--metric", "f1"], "metric: input should be 'accuracy'"),
        (["--recipe", "epoch=3"], "The recipe has no 'epoch'. Did you mean 'epochs'?"),
        (["--max-params", "7"], "--max-params 7 were found"),
        (["--out", "file"], "'file' is a file. Choose a folder with --out."),
    ],
)
def test_wrong_input_exits_with_two_and_one_message(
    run: Callable[..., Result], arguments: list[str], message: str
) -> None:
    Path("file").write_text("mine")
    result = run("evolve-space", "--epochs", "1", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
