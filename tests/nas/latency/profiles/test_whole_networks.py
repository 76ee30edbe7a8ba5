"""Profiles from whole networks: chosen well, fitted, judged on what was drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.errors import NotFittedError
from nas.latency import PartsPredictor, Target
from nas.latency.identity import parts_hash
from nas.latency.profiles.choosing import drawn_at_random, telling_codes
from nas.latency.profiles.part_features import ROWS, PartFeatures, operation_features
from nas.latency.profiles.parts import PartsProfile
from nas.latency.profiles.profile import CONDITIONS, MeasuredNetworks
from nas.latency.profiles.whole_networks import fit_few, whole_networks_profile
from nas.latency.tracing.trace import trace
from search_spaces.space import SearchSpace, load_space


@pytest.fixture(scope="module")
def macro() -> SearchSpace:
    return load_space("macro")


@pytest.fixture(scope="module")
def features(macro: SearchSpace) -> PartFeatures:
    return PartFeatures.of(macro.part_index(), 1)


def _made_up(features: PartFeatures, codes: NDArray[np.int16]) -> NDArray[np.float64]:
    """Milliseconds of a device with a price for every launch, GFLOP and MiB."""
    prices = np.tile([0.01, 2.0, 0.2], len(ROWS))
    return features.networks(codes) @ np.array([0.1, *prices])


def _profile(
    features: PartFeatures, codes: NDArray[np.int16], ms: NDArray[np.float64], widest: float
) -> PartsProfile:
    conditions: dict[str, Any] = dict.fromkeys(CONDITIONS)
    conditions |= {"space": "macro", "parts": parts_hash(features.index), "date": "2025-01-01"}
    conditions |= {"device": {"model": "a made-up one"}}
    random = np.arange(len(codes)) < drawn_at_random(len(codes))
    measured = MeasuredNetworks(codes, ms, ms[:, None], np.full(len(codes), np.nan))
    return whole_networks_profile(features, measured, random, conditions, widest)


def test_half_of_the_networks_are_drawn_at_random(
    macro: SearchSpace, features: PartFeatures
) -> None:
    codes = telling_codes(macro, features, np.random.default_rng(0), 11)
    assert len(np.unique(codes, axis=0)) == 11
    assert macro.contains(codes).all()
    assert drawn_at_random(11) == 6
    seven = telling_codes(macro, features, np.random.default_rng(0), 12)
    assert (seven[:6] == codes[:6]).all()


def test_a_small_space_gives_as_many_networks_as_it_has(space: SearchSpace) -> None:
    features = PartFeatures.of(space.part_index(), 1)
    codes = telling_codes(space, features, np.random.default_rng(0), 100)
    assert len(codes) == space.size()


def test_networks_that_tell_most_fit_better_than_random_ones(
    macro: SearchSpace, features: PartFeatures
) -> None:
    test = macro.sample(300, np.random.default_rng(1))
    expected = _made_up(features, test)

    def error(codes: NDArray[np.int16]) -> float:
        weights = fit_few(features.networks(codes), _made_up(features, codes))
        return float(np.abs(features.networks(test) @ weights / expected - 1).mean())

    telling, drawn = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        telling.append(error(telling_codes(macro, features, rng, 8)))
        drawn.append(error(macro.sample(8, rng)))
    assert np.mean(telling) < np.mean(drawn)
    assert np.mean(telling) < 0.05


def test_a_profile_prices_every_part_by_its_operations(
    macro: SearchSpace, features: PartFeatures
) -> None:
    codes = telling_codes(macro, features, np.random.default_rng(0), 16)
    ms = _made_up(features, codes)
    profile = _profile(features, codes, ms, 2.0)
    predictor = PartsPredictor(macro, Target("cpu", threads=1), profile)
    assert predictor.predict(codes).ms == pytest.approx(ms, rel=0.05)
    assert profile.held_out["networks"] == 8  # those drawn at random
    assert profile.parts_mib[0] == 0.0 < max(profile.parts_mib)
    assert profile.networks[0]["spread"] is None
    assert "16 whole networks" in str(predictor)
    assert "noise" not in str(predictor)


def test_where_few_were_drawn_at_random_all_are_judged(
    macro: SearchSpace, features: PartFeatures
) -> None:
    codes = telling_codes(macro, features, np.random.default_rng(0), 16)[7:]
    ms = _made_up(features, codes)
    random = np.arange(len(codes)) < 1
    conditions: dict[str, Any] = dict.fromkeys(CONDITIONS)
    measured = MeasuredNetworks(codes, ms, ms[:, None], np.zeros(len(codes)))
    found = whole_networks_profile(features, measured, random, conditions, np.inf)
    assert found.held_out["networks"] == len(codes)


def test_times_of_other_networks_are_refused(macro: SearchSpace, features: PartFeatures) -> None:
    codes = telling_codes(macro, features, np.random.default_rng(0), 12)
    ms = np.geomspace(0.1, 10.0, 12)
    with pytest.raises(
        NotFittedError, match="12 networks of 'macro' gave nothing.*other networks"
    ):
        _profile(features, codes, ms, 1.5)


class _Transform(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])


@pytest.mark.parametrize(
    ("side", "row"), [(4, "fft"), (8, "fft"), (3, "uneven fft"), (6, "uneven fft")]
)
def test_transforms_of_no_power_of_two_are_a_kind_of_their_own(side: int, row: str) -> None:
    table = operation_features(trace(_Transform(), (1, 5, side, side))).reshape(len(ROWS), 3)
    assert table[ROWS.index(row), 0] == 2
