"""Whether other programs keep the processors busy, and what a person is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from nas.environment import SPINS
from nas.latency import Target
from nas.latency.timing.load import environment_now, free_share, tell_load


def test_a_share_lies_between_none_and_all() -> None:
    assert 0.0 < free_share(2, seconds=0.02) <= 1.0


@pytest.mark.parametrize(("share", "said"), [(1.0, 0), (0.9, 0), (0.4, 1)])
def test_a_busy_processor_is_told_before_it_is_measured(
    heard: Any, share: float, said: int
) -> None:
    heard.said.clear()
    tell_load(Target("cpu", threads=2), heard, lambda threads: share)
    assert len(heard.said) == said
    assert not said or "this one gets 40% of the time of its 2 thread(s)" in heard.said[0]


def test_the_load_of_this_machine_does_not_matter_for_another_device(heard: Any) -> None:
    tell_load(Target("a100"), heard, lambda threads: pytest.fail("it was tried"))


@pytest.mark.parametrize(
    ("threads", "share", "chosen", "spins"),
    [
        (2, 1.0, {}, None),
        (2, 0.4, {}, SPINS),
        (1, 0.4, {}, None),
        (2, 0.4, {"GOMP_SPINCOUNT": "7"}, "7"),
        (2, 0.4, {"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_idle_threads_of_a_process_that_measures_sleep_on_a_busy_processor(
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    share: float,
    chosen: dict[str, str],
    spins: str | None,
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert environment_now(threads, lambda _: share).get("GOMP_SPINCOUNT") == spins
