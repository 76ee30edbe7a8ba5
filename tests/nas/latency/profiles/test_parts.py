"""The predictor: terms, interval, coverage of parts, measuring once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from nas.errors import CheckpointError, NotFittedError, SpaceError
from nas.latency import PartsPredictor, Plan, Target, predictor_for
from nas.latency.identity import parts_hash
from nas.latency.prediction import agreement, conformal_half_width
from nas.latency.profiles.calibrate_parts import network_features
from nas.latency.profiles.choosing import covering_codes, stratified_codes
from nas.latency.profiles.held_out import WIDEST, judge, leave_one_out
from nas.latency.profiles.least_squares import fit_non_negative
from nas.latency.profiles.part_features import ROWS, operation_features, parts_in
from nas.latency.tracing.trace import trace
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace, load_space

TARGET = Target("cpu", threads=1)


def test_terms_that_made_the_times_are_found_again() -> None:
    rng = np.random.default_rng(3)
    features = np.stack([np.ones(30), *rng.uniform(1, 20, (3, 30))], axis=1)
    true = np.array([0.2, 1.1, 0.01, 0.05])
    assert fit_non_negative(features, features @ true) == pytest.approx(true)


def test_no_term_is_negative() -> None:
    weights = fit_non_negative(
        np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), np.array([3.0, 2, 1])
    )
    assert (weights >= 0).all()


def test_each_network_is_predicted_without_itself() -> None:
    features = np.stack([np.ones(8), np.arange(1.0, 9), np.ones(8), np.zeros(8)], axis=1)
    measured = 2.0 * features[:, 1]
    measured[4] *= 3
    alone = leave_one_out(features, measured, fit_non_negative)
    assert alone[4] == pytest.approx(10.0)


def test_the_interval_holds_nine_of_ten_networks() -> None:
    ratios = np.exp(np.linspace(0.001, 0.04, 40) * np.array([1, -1] * 20))
    # ceil(41 * 0.9) = 37: the 37th smallest of 40 scores
    assert conformal_half_width(np.ones(40), ratios) == pytest.approx(0.037)
    assert conformal_half_width(np.ones(3), np.exp([0.1, 0.2, 0.3])) == pytest.approx(0.3)


def test_a_fit_that_says_nothing_is_refused_with_what_was_measured_and_why() -> None:
    measured = np.arange(1.0, 11.0)
    repeats = 3.0 * np.stack([measured] * 4, axis=1)
    said = {"change": 0.0, "what": "Measuring 'x'", "why": "It was busy."}
    with pytest.raises(
        NotFittedError, match="^Measuring 'x' gave nothing .* a factor of 3. It was busy.$"
    ):
        judge(measured, measured, repeats, widest=2.9, **said)
    assert judge(measured, measured, repeats, widest=3.1, **said).figures["mape"] == 0.0


def test_beside_loud_programs_the_interval_is_for_calm_moments() -> None:
    measured = np.array([1.0, 2.0, 4.0, 8.0])
    loud, calm = measured[:, None] * [1.0, 9.0], measured[:, None] * [1.0, 1.1]
    said = {"change": 0.0, "widest": math.inf, "what": "x", "why": "y"}
    alone = judge(measured, measured, loud, **said)
    assert math.exp(alone.log_half_width) == pytest.approx(9.0)
    assert math.exp(judge(measured, measured, loud, calm=calm, **said).log_half_width) == 2.0
    steady = judge(measured, measured, calm, calm=calm, **said)  # not busy: as measured
    assert math.exp(steady.log_half_width) == pytest.approx(1.1)


def test_a_processor_is_never_refused_and_another_device_is() -> None:
    assert Plan().widest_for(TARGET) == math.inf
    assert Plan().widest_for(Target("a100")) == WIDEST


def test_agreement_is_in_shares() -> None:
    figures = agreement(np.array([1.0, 2.1, 3.6]), np.array([1.0, 2.0, 3.0]))
    assert figures["mape"] == pytest.approx((0.05 + 0.2) / 3)
    assert figures["within_10_percent"] == pytest.approx(2 / 3)
    assert figures["spearman"] == pytest.approx(1.0)


def test_every_part_is_covered_as_often_as_asked() -> None:
    space = load_space("macro")
    index = space.part_index()
    codes = covering_codes(space, index, np.random.default_rng(0), times=2, most=1000)
    counts = np.zeros(len(index.parts), dtype=int)
    for row in parts_in(index, codes):
        counts[np.unique(row)] += 1
    assert len(codes) < 20
    assert counts[1:].min() >= 2
    assert space.contains(codes).all()
    assert len(covering_codes(space, index, np.random.default_rng(0), times=2, most=3)) == 3


def test_networks_come_from_all_over_the_range() -> None:
    space = load_space("macro")
    rng = np.random.default_rng(0)
    codes = space.sample(500, rng)
    values = codes.sum(axis=1).astype(float)
    chosen = stratified_codes(space, rng, 12, values, codes)
    assert len(chosen) == 12
    assert (chosen[0] == space.smallest()).all()
    assert (chosen[1] == space.largest()).all()
    assert np.ptp(chosen[2:].sum(axis=1)) > 0.7 * np.ptp(np.percentile(values, [1, 99]))


def test_operations_are_counted_by_kind() -> None:
    from torch import nn

    features = operation_features(trace(nn.Conv2d(2, 4, 1, bias=False), (1, 2, 8, 8)))
    row = features.reshape(len(ROWS), 3)[ROWS.index("convolution")]
    moved = 4 * (2 * 64 + 8 + 4 * 64) / 2**20
    assert row.tolist() == pytest.approx([1.0, 2 * 2 * 4 * 64 / 1e9, moved])


def test_a_predictor_is_measured_once_and_then_loaded(
    space: SearchSpace, plan: Plan, cache: Path
) -> None:
    first = predictor_for(space, TARGET, plan=plan)
    (path,) = (cache / "latency").glob("cpu-*.json")
    written = path.read_bytes()
    second = predictor_for(space, TARGET, measure=False)
    assert path.read_bytes() == written
    assert first.id == second.id
    codes = space.sample(50, np.random.default_rng(0))
    prediction = second.predict(codes)
    assert (prediction.ms == first.predict(codes).ms).all()
    assert (prediction.low_ms <= prediction.ms).all()
    assert (prediction.ms <= prediction.high_ms).all()
    assert "networks left out one by one" in str(second)

    with pytest.raises(NotFittedError, match="Measure it with `nas measure`"):
        predictor_for(space, Target("cpu", threads=1, batch_size=2), measure=False)


def test_a_prediction_adds_up_its_parts(space: SearchSpace, plan: Plan) -> None:
    predictor = predictor_for(space, TARGET, plan=plan)
    profile, codes = predictor.profile, space.sample(20, np.random.default_rng(0))
    features = network_features(
        parts_in(predictor.index, codes), np.array(profile.parts_ms), np.array(profile.parts_mib)
    )
    expected = features @ list(vars(profile.terms).values())
    prediction = predictor.predict(codes)
    assert prediction.ms == pytest.approx(expected)
    ratio = prediction.high_ms / prediction.ms
    assert ratio.tolist() == pytest.approx([math.exp(profile.log_half_width)] * 20)


def test_parts_that_no_network_covers_are_estimated(space: SearchSpace, plan: Plan) -> None:
    few = dataclasses.replace(plan, most_networks=1)
    predictor = predictor_for(space, TARGET, plan=few)
    estimated = [i for i, n in enumerate(predictor.profile.parts_timed) if i and n == 0]
    assert estimated
    assert all(predictor.profile.parts_ms[i] > 0 for i in estimated)
    assert f"{len(estimated)} parts estimated" in str(predictor)


def test_a_profile_of_a_busy_machine_says_so(space: SearchSpace, plan: Plan) -> None:
    profile = predictor_for(space, TARGET, plan=plan).profile
    for disturbed, said in ((0.5, True), (0.0, False)):
        conditions = {**profile.conditions, "disturbed": disturbed}
        there = PartsPredictor(space, TARGET, dataclasses.replace(profile, conditions=conditions))
        assert ("the machine was busy" in str(there)) == said


def test_figures_that_mean_nothing_are_refused(
    space: SearchSpace, plan: Plan, cache: Path
) -> None:
    strict = dataclasses.replace(plan, widest=1.0)
    with pytest.raises(NotFittedError, match="gave nothing to rely on.*Close other programs"):
        predictor_for(space, TARGET, plan=strict)
    assert not list(cache.glob("latency/*.json"))


def test_a_targets_resolution_restricts_the_space(space: SearchSpace, plan: Plan) -> None:
    predictor = predictor_for(space, Target("cpu", resolution=16, threads=1), plan=plan)
    assert predictor.space.definition.resolution == [16]
    with pytest.raises(SpaceError, match="has no resolution 17"):
        predictor_for(space, Target("cpu", resolution=17, threads=1))


def test_a_profile_of_another_space_is_refused(space: SearchSpace, plan: Plan) -> None:
    profile = predictor_for(space, TARGET, plan=plan).profile
    with pytest.raises(CheckpointError, match="has other parts"):
        PartsPredictor(load_space("macro"), TARGET, profile)


def test_the_hash_of_a_space_sees_its_parts(space: SearchSpace) -> None:
    hashes = {
        parts_hash(space.part_index()),
        parts_hash(space.part_index(DataShape(1, 10))),
        parts_hash(space.part_index(DataShape(3, 11))),
        parts_hash(space.restrict(8).part_index()),
    }
    assert len(hashes) == 4
