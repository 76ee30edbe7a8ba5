from __future__ import annotations

import math

import pytest

from nas.baselines.choice import Growth, Stock, at_largest, candidates, choose, sides_for
from nas.baselines.networks import FAMILIES, check_names, family_of
from nas.errors import UnknownNameError

SIDES = [32, 48, 64, 96]


def growing(fixed: float, at_96: float) -> Growth:
    return Growth((32, 96), ((fixed, at_96),))


GROWTH = {
    "tf_efficientnet_lite0": growing(8.0, 24.0),
    "mobilenetv4_conv_small": growing(3.0, 6.0),
    "mobilenetv4_conv_medium": growing(9.0, 20.0),
    "lcnet_050": growing(1.0, 2.0),
    "repvit_m0_9": growing(20.0, 60.0),
}


def test_latency_grows_with_the_pixels_between_two_sides() -> None:
    growth = growing(1.0, 9.0)
    assert growth.at(32) == [1.0] and growth.at(96) == [9.0]
    assert growth.at(64)[0] == pytest.approx(1.0 + 8.0 * (64**2 - 32**2) / (96**2 - 32**2))


def test_a_network_is_taken_at_the_largest_resolution_within_the_budget() -> None:
    assert at_largest("tf_efficientnet_lite0", GROWTH, SIDES, (24.0,)).side == 64  # 24 / 0.95
    assert at_largest("tf_efficientnet_lite0", GROWTH, SIDES, (26.0,)).side == 96
    assert at_largest("repvit_m0_9", GROWTH, SIDES, (5.0,)).side == 32


def test_one_budget_gives_the_pretrained_one_and_another_family() -> None:
    chosen = choose(GROWTH, SIDES, [(11.0,)], ["tf_efficientnet_lite0"])
    assert chosen[0] == Stock("tf_efficientnet_lite0", 32)
    assert chosen[1:] == [Stock("mobilenetv4_conv_small", 96)]


def test_two_families_are_compared_where_all_networks_have_published_weights() -> None:
    chosen = choose(GROWTH, SIDES, [(11.0,)], list(GROWTH))
    assert chosen == [Stock("tf_efficientnet_lite0", 32), Stock("mobilenetv4_conv_small", 96)]


def test_a_large_network_on_thumbnails_is_the_last_resort() -> None:
    growth = {"repvit_m0_9": growing(8.0, 60.0), "lcnet_050": growing(1.0, 2.0)}
    assert choose(growth, SIDES, [(9.0,)], []) == [
        Stock("lcnet_050", 96),
        Stock("repvit_m0_9", 32),
    ]


def test_three_budgets_give_the_pretrained_one_at_three_resolutions() -> None:
    chosen = choose(GROWTH, SIDES, [(9.0,), (15.0,), (30.0,)], ["tf_efficientnet_lite0"])
    assert [s.side for s in chosen if s.name == "tf_efficientnet_lite0"] == [96, 64, 32]
    assert len(chosen) == 4


def test_unknown_latencies_leave_the_preferred_families_at_full_size() -> None:
    unknown = {name: Growth((32, 96), ((None, None),)) for name in GROWTH}
    chosen = choose(unknown, SIDES, [(5.0,)], ["tf_efficientnet_lite0"])
    assert [stock.side for stock in chosen] == [96, 96]
    assert chosen[1].name == "mobilenetv4_conv_small"


def test_a_network_that_does_not_fit_into_the_memory_is_not_taken_there() -> None:
    growth = {
        "repvit_m0_9": growing(math.inf, math.inf),
        "lcnet_050": growing(1.0, math.inf),
        "mobilenetv4_conv_small": growing(3.0, 6.0),
    }
    assert growth["lcnet_050"].at(32) == [1.0] and growth["lcnet_050"].at(48) == [math.inf]
    assert choose(growth, SIDES, [(50.0,)], ["lcnet_050", "repvit_m0_9"]) == [
        Stock("lcnet_050", 32),
        Stock("mobilenetv4_conv_small", 96),
    ]


def test_resolutions_end_at_the_images_own() -> None:
    assert sides_for((128, 128))[-1] == 128 and sides_for((100, 130))[-1] == 96
    assert sides_for((20, 20)) == [32] and sides_for((500, 500))[-1] == 224


def test_every_candidate_is_a_model_of_timm_and_has_one_family() -> None:
    assert len(candidates()) == len(set(candidates())) == 16
    check_names(candidates())
    assert {family_of(name) for name in candidates()} == set(FAMILIES)
    assert family_of("resnet18") == "resnet18"


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'lcnet_050'"):
        check_names(["lcnet_0500"])
