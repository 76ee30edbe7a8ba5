"""A GPU at hand: the shipped model, corrected by a few networks of a space."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from nas.errors import CheckpointError, NotFittedError
from nas.latency import Effort, Plan, Target, predictor_for
from nas.latency.gpu.predictor import GpuModel, GpuPredictor
from nas.latency.gpu.terms import sums_of, sums_of_parts, terms_of
from nas.latency.predictors import measured_predictor
from nas.latency.profiles.calibrate_gpu import calibrate_gpu
from nas.latency.profiles.correction import fit
from nas.latency.profiles.gpu import PRIOR, MeasuredGpuPredictor, correction_of
from nas.latency.profiles.profile import Subject
from nas.latency.timing.gpu import GpuMachine
from nas.latency.timing.machine import Machine
from nas.progress import Silent
from search_spaces import build_network, load_space
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace

MadeUp = Callable[[Target], Machine]
TRUE = np.array([1.7, 2.0, 1.2, 1.8, 1.4])
"""What the GPU of these tests makes of each term."""
BRIEF = Plan(whole_networks=12, gpu_effort=Effort(0.0, least=2, most=2))


@pytest.fixture(scope="module")
def tiny() -> SearchSpace:
    return load_space("hybrid-tiny")


def _terms(target: Target, space: SearchSpace, codes: Any) -> Any:
    gpu, networks = GpuModel(target), []
    for architecture in map(space.decode, codes):
        side = architecture.resolution
        networks.append((build_network(architecture), (target.images, 3, side, side)))
    return terms_of(gpu, sums_of(gpu, networks))


@pytest.fixture
def made_up(scripted: Any) -> Callable[[Target], Machine]:
    """A GPU that differs from the model by TRUE and has 1 % of noise, for any target."""

    def machine(target: Target) -> Machine:
        gpu, rng = GpuModel(target), np.random.default_rng(1)

        def ms_of(network: nn.Module, shape: tuple[int, ...]) -> float:
            (terms,) = terms_of(gpu, sums_of(gpu, [(network, shape)]))
            return float(terms @ TRUE * np.exp(rng.normal(0, 0.01)))

        found: Machine = scripted(ms_of)
        return found

    return machine


@pytest.mark.parametrize(
    ("runtime", "batch_size"), [("eager", 1), ("compile", 64), ("cuda-graph", 256)]
)
def test_ten_networks_tell_how_a_gpu_differs_from_the_model(
    runtime: str, batch_size: int, tiny: SearchSpace, made_up: MadeUp
) -> None:
    target = Target("a100", runtime=runtime, batch_size=batch_size)
    plan = dataclasses.replace(BRIEF, whole_networks=10, compiled_networks=10)
    profile = calibrate_gpu(Subject(tiny, target), plan, Silent(), made_up(target))
    codes = tiny.sample(12, np.random.default_rng(5))
    true = _terms(target, tiny, codes) @ TRUE
    found = MeasuredGpuPredictor(tiny, target, profile).predict(codes)
    plain = GpuPredictor(tiny, target).predict(codes)
    error = np.abs(found.ms / true - 1)
    assert error.mean() < 0.05 < np.abs(plain.ms / true - 1).mean()
    assert ((found.low_ms <= true) & (true <= found.high_ms)).mean() >= 0.9


def test_parts_add_up_to_the_network(tiny: SearchSpace) -> None:
    target = Target("a100", batch_size=8)
    gpu, index = GpuModel(target), tiny.part_index(DataShape(3, 10))
    codes = tiny.sample(3, np.random.default_rng(0))
    parts = sums_of_parts(gpu, index)
    summed = np.stack([index.sums(codes, column) for column in parts.T], axis=1)
    assert terms_of(gpu, summed) == pytest.approx(_terms(target, tiny, codes), rel=1e-6)
    plain = GpuPredictor(tiny, target).predict(codes).ms
    assert terms_of(gpu, summed).sum(axis=1) == pytest.approx(plain, rel=1e-6)


def test_a_gpu_at_hand_is_measured_and_its_profile_kept(space: SearchSpace, clock: Any) -> None:
    target = Target("a100", precision="fp32")
    plan, machine = dataclasses.replace(BRIEF, widest=1e9), GpuMachine(target, clock)
    before = predictor_for(space, target)
    assert isinstance(before, GpuPredictor)
    found = measured_predictor(space, target, plan=plan, machine=machine)
    assert isinstance(found, MeasuredGpuPredictor)
    after = predictor_for(space, target)
    assert isinstance(after, MeasuredGpuPredictor)
    assert after.id == found.id
    clocks = {"sm_mhz": 1410.0}
    assert after.profile.conditions["clocks"] == {"before": clocks, "after": clocks}
    assert after.profile.conditions["device"]["model"] == "NVIDIA A100-SXM4-80GB"
    networks = f"corrected by {len(after.profile.networks)} networks measured on NVIDIA A100"
    assert networks in str(after)
    codes = space.sample(4, np.random.default_rng(0))
    usual, sure = after.predict(codes), predictor_for(space, target, confidence=0.98)
    assert (usual.low_ms < usual.ms).all()
    assert (sure.predict(codes).high_ms > usual.high_ms).all()
    again = measured_predictor(space, target, plan=plan, machine=machine, again=True)
    assert again.id != found.id


def test_what_was_measured_corrects_other_networks_under_the_same_target(
    tiny: SearchSpace, made_up: MadeUp
) -> None:
    target = Target("a100", batch_size=8)
    model = GpuModel(target).id
    assert correction_of(target, model) is None
    measured_predictor(tiny, target, plan=BRIEF, machine=made_up(target))
    found = correction_of(Target("a100", batch_size=8, resolution=224), model)
    assert found is not None
    other = _terms(target, tiny, tiny.sample(3, np.random.default_rng(9)))
    assert found.predict(other).ms == pytest.approx(other @ TRUE, rel=0.05)
    # None of the measured networks spent a tenth of its time in these.
    assert found.coefficients[:3].tolist() == [1.0, 1.0, 1.0]
    # Launches and the host grow together from network to network: what counts is both.
    waiting = other[:, 3:] @ TRUE[3:]
    assert other[:, 3:] @ found.coefficients[3:] == pytest.approx(waiting, rel=0.05)
    assert (found.coefficients[3:] > 1.2).all()
    assert correction_of(Target("a100", batch_size=9), model) is None
    assert correction_of(target, "another model") is None


def test_a_host_that_is_slow_says_nothing_of_the_gpu() -> None:
    rng = np.random.default_rng(4)
    noise = np.exp(rng.normal(0, 0.01, 12))
    terms = rng.uniform(0.5, 1.5, (12, 5)) * [0.002, 0.001, 0.002, 0.005, 0.9]
    slow_host = fit(terms, noise * (terms @ np.array([1.0, 1.0, 1.0, 1.0, 2.0])), PRIOR)
    assert slow_host.coefficients[-1] == pytest.approx(2.0, rel=0.05)
    assert slow_host.coefficients[:4] == pytest.approx(np.ones(4), rel=0.15)


def test_times_that_mean_nothing_are_refused(tiny: SearchSpace, made_up: MadeUp) -> None:
    target = Target("a100")
    plan = dataclasses.replace(BRIEF, widest=1.0)
    with pytest.raises(NotFittedError, match=r"12 networks of 'hybrid-tiny'.*nothing to rely on"):
        calibrate_gpu(Subject(tiny, target), plan, Silent(), made_up(target))


@pytest.mark.parametrize(("held", "networks", "needed"), [(4, 12, 5), (3, 4, 4)])
def test_where_the_memory_holds_too_few_networks_nothing_is_fitted(
    held: int, networks: int, needed: int, tiny: SearchSpace, scripted: Any
) -> None:
    times = iter([1.0] * held + [None] * (networks - held))
    machine = scripted(lambda network, shape: next(times))
    target = Target("a100", batch_size=512)
    plan = dataclasses.replace(BRIEF, whole_networks=networks)
    message = rf"holds {held} of {networks} networks .* batches of 512; {needed} are needed"
    with pytest.raises(NotFittedError, match=message):
        calibrate_gpu(Subject(tiny, target), plan, Silent(), machine)


def test_a_profile_of_another_space_is_refused(space: SearchSpace, clock: Any) -> None:
    target = Target("a100", precision="fp32")
    plan, machine = dataclasses.replace(BRIEF, widest=1e9), GpuMachine(target, clock)
    found = measured_predictor(space, target, plan=plan, machine=machine)
    assert isinstance(found, MeasuredGpuPredictor)
    with pytest.raises(CheckpointError, match="'hybrid-tiny' has other parts"):
        MeasuredGpuPredictor(load_space("hybrid-tiny"), target, found.profile)
