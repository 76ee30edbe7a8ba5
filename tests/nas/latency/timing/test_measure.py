"""Measuring: state is put back, drift is told apart, busy moments are left out."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.latency import Effort, Target, measure_finalists, measure_networks
from nas.latency.timing.interleave import interleave
from nas.latency.timing.samples import PASSES, Samples, by_network, drift_of
from nas.progress import Silent
from search_spaces.space import SearchSpace

BRIEF = Effort(0.0, least=2, most=2)


class Seen(nn.Module):
    """Notes under which conditions it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[int, bool, bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.notes.append((torch.get_num_threads(), gc.isenabled(), x.is_inference()))
        return x * 2


def test_networks_run_with_the_targets_threads_and_all_is_put_back() -> None:
    module, before = Seen(), torch.get_num_threads()
    other = 1 if before > 1 else 2
    measure_networks([module], [(1, 3, 8, 8)], Target("cpu", threads=other), effort=BRIEF)
    assert {note[:2] for note in module.notes} == {(other, False)}
    assert len(module.notes) == 2 * (1 + 3)
    assert torch.get_num_threads() == before
    assert gc.isenabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 3), (3.5, 4), (60.0, 7)])
def test_measuring_ends_after_the_given_time_and_rounds(
    seconds: float, rounds: int, scripted: Any
) -> None:
    now = 0.0

    def takes_a_second_a_round(images: torch.Tensor) -> list[int]:
        nonlocal now
        now += 1 / (1 + PASSES)
        return [0, 1]

    machine = scripted(lambda network, shape: 1.0)
    effort = Effort(seconds, least=3, most=7)
    (found,) = interleave(
        [takes_a_second_a_round], [(1, 1)], machine, effort, 0, Silent(), clock=lambda: now
    )
    assert len(found.ms) == rounds * PASSES


def test_every_network_is_measured(space: SearchSpace) -> None:
    codes = [space.smallest(), space.largest()]
    found = measure_finalists(
        [space.decode(code) for code in codes], Target("cpu", threads=1), effort=BRIEF
    )
    assert found.ms.shape == found.spread.shape == (2,)
    assert found.quarters_ms.shape == (2, 4)
    assert (found.ms > 0).all()
    assert found.rounds == 2
    assert found.repeat_noise >= 0


def test_a_machine_that_slows_down_is_told_from_slow_networks() -> None:
    rng = np.random.default_rng(0)
    network = np.concatenate([rng.permutation(20) for _ in range(12)])
    speed = np.where(np.arange(240) < 100, 0.0, 0.3)
    level = np.log(np.linspace(1.0, 8.0, 20))
    ms = np.exp(level[network] + speed + rng.normal(0, 0.02, 240))
    drift = drift_of(ms, network)
    steps = drift - np.median(drift) - (speed - np.median(speed))
    assert np.abs(np.delete(steps, range(88, 112))).max() < 0.03
    assert np.median(drift[:88]) == pytest.approx(0.0, abs=0.02)  # undisturbed is zero
    assert drift_of(np.empty(0), np.empty(0, dtype=np.int64)).shape == (0,)


def _samples(ms: list[float], disturbed: list[bool]) -> Samples:
    return Samples(np.array(ms)[:, None], np.array(disturbed), np.zeros(len(ms)))


def test_disturbed_passes_are_left_out() -> None:
    assert _samples([1.0, 9.0, 1.0, 9.0], [False, True, False, True]).total() == 1.0


def test_where_all_passes_were_disturbed_the_fastest_quarter_counts() -> None:
    assert _samples([9.0, 1.0, 9.0, 9.0], [True] * 4).total() == 1.0


def test_parts_are_timed_at_the_machines_undisturbed_speed() -> None:
    ms = np.array([[1.0, 2.0], [2.0, 4.0]])
    samples = Samples(ms, np.zeros(2, dtype=bool), np.log([1.0, 2.0]))
    assert samples.typical().tolist() == pytest.approx([1.0, 2.0])
    assert samples.quarters() == [3.0, 6.0]
    assert samples.spread() == pytest.approx(0.0)


def test_slow_moments_count_for_the_interval_alone() -> None:
    moments = [1.0, 2.0] * 24 + [2.0] * 16
    speed = np.repeat(moments, 30)  # for longer than what the running median looks at
    network = np.arange(len(speed)) % 2
    ms = speed * np.array([3.0, 5.0])[network]
    stamps = [[[0, round(one * 1e6)]] * PASSES for one in ms]
    found = by_network(2, network, stamps, [[False] * PASSES] * len(stamps))
    assert [samples.total() for samples in found] == pytest.approx([3.0, 5.0])
    assert found[0].quarters()[3] == pytest.approx(6.0)
