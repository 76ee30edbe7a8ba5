"""Targets and budgets as `nas search` takes them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from nas.cli.values import latency_budgets
from nas.errors import SettingsError
from nas.settings import Settings, TargetChoice

if TYPE_CHECKING:
    from conftest import Recorder

Run = Callable[..., Result]


@pytest.fixture
def asked(run: Run, called: Recorder) -> Callable[[str], Settings]:
    """The settings that a search with these words has."""

    def settings(words: str) -> Settings:
        result = run("search", *shlex.split(words))
        assert result.exit_code == 0, result.stderr
        (made,) = called.calls[-1][1]
        assert isinstance(made, Settings)
        return made

    return settings


def test_several_budgets_of_one_target_are_one_list(asked: Callable[[str], Settings]) -> None:
    assert asked("--budget '2ms,5ms, 10ms'") == Settings(budgets_ms=[2, 5, 10])


def test_targets_and_budgets_go_together_in_their_order(asked: Callable[[str], Settings]) -> None:
    words = "--target a100,batch=32 --budget 5ms --target cpu --budget 20ms,40ms"
    one, other = asked(words).targets
    assert one == TargetChoice(hardware="a100", batch_size=32, budgets_ms=(5.0,))
    assert other == TargetChoice(hardware="cpu", budgets_ms=(20.0, 40.0))


def test_a_target_takes_every_option_by_its_long_name(asked: Callable[[str], Settings]) -> None:
    spec = "RTX 4090, runtime=compile, precision=fp16, layout=contiguous, batch-size=2"
    (target,) = asked(f"--target '{spec}'").targets
    assert target == TargetChoice(
        hardware="rtx4090", runtime="compile", precision="fp16", layout="contiguous", batch_size=2
    )
    (target,) = asked("--target cpu,threads=1,batch_size=3").targets
    assert target == TargetChoice(threads=1, batch_size=3)


def test_a_target_without_a_budget_is_said_so(asked: Callable[[str], Settings]) -> None:
    targets = "--target a100 --target cpu"
    assert asked(f"{targets} --budget none --budget 40ms").budget_sets == ((None, 40.0),)
    assert asked(targets).budget_sets == ((None, None),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--target a100 --hardware cpu", "--target names a whole target, so leave out --hardware"),
        ("--target a100 --batch-size 2 --threads 1", "leave out --batch-size, --threads;"),
        ("--target a10o", "Unknown hardware 'a10o'. Did you mean 'a10'"),
        ("--target batch=2", "--target 'batch=2': begin with the device, such as a100,batch=32."),
        ("--target a100,bach=2", "a target has no 'bach'. Did you mean 'batch'? It has batch, "),
        ("--target a100,batch", "--target 'a100,batch', batch: it has no value."),
        ("--target a100,", "--target 'a100,': a target has no ''."),
        ("--target a100,batch=2,batch-size=4", "batch-size: give it once."),
        ("--target a100,batch=two", "batch is 'two'; it has to be a whole number of at least 1."),
        ("--target cpu,threads=0", "threads is '0'; it has to be a whole number"),
        ("--target a100,resolution=32", "for all targets. Give it as --resolution."),
        ("--budget 2ms --budget 5ms", "go in one list: --budget 2ms,5ms."),
        ("--target a100 --target cpu --budget 5ms", "There are 2 targets (a100, cpu) and 1 --bud"),
        ("--target cpu --target a100 --budget 5ms --budget 5ms --budget 1ms", "and 3 --budget."),
        ("--budget 5,10", "The duration '5' has no unit; write 5ms."),
        ("--budget 5MiB", "The duration '5MiB' has an unknown unit"),
        ("--budget 2ms,,5ms", "has a place without a time; write 2ms,5ms."),
        (
            "--target cpu --target a100 --budget 1ms,2ms --budget 1ms,2ms,3ms",
            "equally many, or just one. There are: 2 for cpu, 3 for a100",
        ),
    ],
)
def test_wrong_targets_and_budgets_end_in_one_message(run: Run, words: str, message: str) -> None:
    result = run("search", *words.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("typed", ["2ms,5ms,10ms", "10ms, 2ms,5ms", "5ms,2ms,10ms,5ms"])
def test_the_budgets_of_one_target_are_put_in_order(typed: str) -> None:
    assert latency_budgets([typed], ["cpu"]) == [(2.0, 5.0, 10.0)]


def test_the_budgets_of_several_targets_keep_their_places() -> None:
    assert latency_budgets(["2ms,5ms", " none"], ["a100", "cpu"]) == [(2.0, 5.0), ()]
    with pytest.raises(SettingsError, match="same place in the lists belong together"):
        latency_budgets(["2ms,5ms", "40ms,20ms"], ["a100", "cpu"])


@pytest.mark.parametrize("typed", ["5ms,", ",5ms", "5ms,,", ","])
def test_a_list_of_budgets_with_an_empty_place_is_told(typed: str) -> None:
    with pytest.raises(SettingsError, match="has a place without a time; write 5ms"):
        latency_budgets([typed], ["cpu"])
