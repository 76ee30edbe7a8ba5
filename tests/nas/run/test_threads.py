"""Torch trains on as many threads as help, as a short trial says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nas.environment import torch_threads, usable_cpus
from nas.run.threads import (
    HelpfulThreads,
    keep_helpful_threads,
    networks_at_once,
    seconds_of_a_step,
)

Times = dict[int, float]


@pytest.fixture(autouse=True)
def threads_left_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with torch_threads(2):
        yield


@pytest.mark.parametrize(
    ("free", "seconds", "chosen", "said"),
    [
        (1.0, {1: 1.0, 4: 9.0}, 4, None),
        (0.5, {1: 1.0, 4: 3.0}, 1, r"50% of their time is free: running on 1 thread.*3 times"),
        (0.5, {1: 1.0, 4: 0.5}, 4, r"running on 4 thread\(s\), 2 times as fast now as on 1"),
        (0.5, {1: 0.98, 4: 1.0}, 4, "running on 4"),
    ],
)
def test_beside_other_programs_the_faster_number_is_chosen(
    heard: Any, free: float, seconds: Times, chosen: int, said: str | None
) -> None:
    heard.said.clear()
    keep_helpful_threads(
        heard, most=4, share_of=lambda _: free, seconds_of=lambda threads: seconds[threads]
    )
    assert torch.get_num_threads() == chosen
    assert (said is None) == (not heard.said)
    if said is not None:
        assert re.search(said, heard.said[-1])


def test_a_person_decides_with_an_environment_variable(
    heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    keep_helpful_threads(heard, most=4, share_of=lambda _: pytest.fail("a trial"))
    assert torch.get_num_threads() == 2


def test_one_processor_needs_no_trial(heard: Any) -> None:
    keep_helpful_threads(heard, most=1, share_of=lambda _: pytest.fail("a trial"))
    assert torch.get_num_threads() == 1


def test_the_trial_runs_and_puts_the_threads_back() -> None:
    assert seconds_of_a_step(1) > 0
    assert torch.get_num_threads() == 2


def test_training_looks_again_because_other_programs_come_and_go(heard: Any) -> None:
    now, chosen = [0.0], [1, 2]
    heard.said.clear()
    threads = HelpfulThreads(
        60.0, lambda console: torch.set_num_threads(chosen.pop(0)), lambda: now[0]
    )
    for now[0] in (30.0, 70.0, 80.0, 129.0, 131.0):
        threads.look(heard)
    assert heard.said == ["now on 1 thread(s): the number follows what other programs use"]
    assert torch.get_num_threads() == 2


def test_a_busy_machine_still_evaluates_on_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert networks_at_once(cpu) == usable_cpus() and networks_at_once(cuda) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert networks_at_once(cpu) == torch.get_num_threads()
