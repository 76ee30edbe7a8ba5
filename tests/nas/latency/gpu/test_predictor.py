"""Predictions for GPUs hang together; no number of the shipped model is expected of them."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.errors import SettingsError, UnknownNameError
from nas.latency.devices import check
from nas.latency.gpu.model import Model, shipped
from nas.latency.gpu.predictor import GpuModel, GpuPredictor
from nas.latency.target import Target
from search_spaces import build_network, load_space

SMALL = nn.Sequential(
    nn.Conv2d(3, 20, 3, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(20),
    nn.ReLU(),
    nn.Conv2d(20, 48, 3, padding=1),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(48, 10),
)
SHAPE = (3, 32, 32)
A100 = check("a100")
WAYS = [
    Target("a100", runtime=runtime, precision=precision)
    for runtime in A100.runtimes
    for precision in A100.precisions
]


def _ms(target: Target, module: nn.Module = SMALL, batch: int = 1, side: int = 32) -> float:
    return float(GpuModel(target).network(module, (batch, 3, side, side)).prediction.ms[0])


def test_an_a100_runs_in_every_way() -> None:
    assert len(WAYS) == 5 * 5


@pytest.mark.parametrize("target", WAYS, ids=str)
def test_a_prediction_is_a_time_that_its_launches_explain(target: Target) -> None:
    found = GpuModel(target).network(SMALL, (1, *SHAPE))
    prediction = found.prediction
    assert 0 < prediction.low_ms[0] < prediction.ms[0] < prediction.high_ms[0] < 1000
    assert prediction.ms[0] >= max(found.device_ms, found.host_ms) > 0
    assert sum(found.by_kind().values()) == pytest.approx(found.device_ms)
    ms = [launch.ms for launch in found.launches]
    assert ms == sorted(ms, reverse=True)
    assert {launch.bound for launch in found.launches} <= {"compute", "memory", "launches"}
    assert all(launch.sizes and launch.count >= 1 for launch in found.launches)


@pytest.mark.parametrize("runtime", A100.runtimes)
def test_more_images_take_no_less_time(runtime: str) -> None:
    target = Target("a100", runtime=runtime)
    ms = [_ms(target, batch=batch) for batch in (1, 2, 8, 64, 512)]
    assert ms == sorted(ms)
    assert ms[-1] > ms[0]


def test_a_small_network_waits_for_the_host_when_eager() -> None:
    found = GpuModel(Target("a100", runtime="eager")).network(SMALL, (1, *SHAPE))
    assert found.waits_for_host
    assert not GpuModel(Target("a100")).network(SMALL, (4096, 3, 128, 128)).waits_for_host


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_faster_gpu_predicts_a_faster_network(precision: str) -> None:
    ms = [_ms(Target(d, precision=precision), batch=2048, side=128) for d in ("t4", "a10", "h100")]
    assert ms == sorted(ms, reverse=True)


def test_half_the_bits_take_half_the_memory() -> None:
    half, full = (
        GpuModel(Target("a100", precision=precision)).network(SMALL, (8, *SHAPE)).memory_mib
        for precision in ("fp16", "fp32")
    )
    assert full == pytest.approx(2 * half, rel=1e-3)


def test_energy_is_the_power_limit_for_the_whole_time() -> None:
    found = GpuModel(Target("a100")).network(SMALL, (1, *SHAPE))
    assert found.energy_mj == pytest.approx(A100.power_w * found.prediction.ms[0])


@pytest.mark.parametrize("runtime", A100.runtimes)
def test_the_parts_of_a_network_take_what_the_network_takes(runtime: str) -> None:
    space, target = load_space("hybrid-tiny"), Target("a100", runtime=runtime, batch_size=8)
    codes = space.sample(20, np.random.default_rng(5))
    parts = GpuPredictor(space, target).predict(codes).ms
    networks = [_ms(target, build_network(a), 8, a.resolution) for a in map(space.decode, codes)]
    error = np.abs(parts / np.array(networks) - 1)
    # Without fusion a network is the sum of its parts; with it, parts save where they meet.
    alone = runtime in ("eager", "cuda-graph")
    assert np.median(error) < (1e-6 if alone else 0.04)
    assert error.max() < (1e-6 if alone else 0.12)


def test_equal_predictors_have_equal_ids_and_predictions() -> None:
    space = load_space("macro")
    codes = space.sample(5, np.random.default_rng(0))
    first, again, other = (
        GpuPredictor(space, Target("a100", runtime="compile", batch_size=b)) for b in (1, 1, 2)
    )
    assert first.id == again.id != other.id
    assert np.array_equal(first.predict(codes).ms, again.predict(codes).ms)


def test_a_device_whose_file_was_edited_has_another_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CONFIG_DIR", str(tmp_path))
    file, space = tmp_path / "devices" / "mine.yaml", load_space("macro")
    text = resources.files("nas.latency.devices").joinpath("l4.yaml").read_text()
    text = text.replace("aliases: [NVIDIA L4]\n", "")
    file.parent.mkdir()
    ids = set()
    for written in (text, text.replace("bandwidth_gb_s: 300", "bandwidth_gb_s: 200"), text):
        file.write_text(written)
        ids.add(GpuPredictor(space, Target("mine")).id)
    assert len(ids) == 2


def test_the_interval_grows_with_its_confidence() -> None:
    gpu = GpuModel(Target("a100"))
    found = [gpu.network(SMALL, (1, *SHAPE), confidence) for confidence in (0.5, 0.8, 0.9, 0.95)]
    widths = [float(one.prediction.high_ms[0] / one.prediction.low_ms[0]) for one in found]
    assert widths == sorted(set(widths))
    space = load_space("macro")
    codes = space.sample(3, np.random.default_rng(0))
    wide, narrow = (
        GpuPredictor(space, Target("a100"), confidence=c).predict(codes) for c in (0.95, 0.5)
    )
    assert np.array_equal(wide.ms, narrow.ms)
    assert (wide.high_ms > narrow.high_ms).all()


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_an_interval_that_was_not_validated_is_refused(confidence: float) -> None:
    with pytest.raises(SettingsError, match=r"Confidence . is not supported; choose 0\.\d"):
        GpuModel(Target("a100")).half_width(confidence)


def test_a_precision_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"v100 has no precision 'bf16'.* It has fp16"):
        Target("v100", precision="bf16")


def _measured(devices: list[str], runtimes: list[str]) -> Model:
    """The shipped model, as if it had been fitted on these."""
    conditions = {**shipped().conditions, "devices": devices, "runtimes": runtimes}
    return dataclasses.replace(shipped(), conditions=conditions)


@pytest.mark.parametrize(
    ("devices", "runtimes", "basis", "words"),
    [
        (["a100 compile"], ["compile"], "known", "public measurements of a100 in compile"),
        (["h100 compile"], ["compile"], "device", "not validated on a100: compile was measured"),
        (["a100 eager"], ["eager"], "runtime", "not validated: compile was measured on no device"),
    ],
)
def test_a_prediction_says_what_it_rests_on(
    devices: list[str], runtimes: list[str], basis: str, words: str
) -> None:
    gpu = GpuModel(Target("a100", runtime="compile"), _measured(devices, runtimes))
    assert gpu.basis == basis
    assert words in gpu.rests_on
    assert str(gpu).startswith("a100 (compile, fp16")
    assert words in str(gpu)


class Renormed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.renorm(x, 2, 0, 1.0)


def test_functions_that_the_tracer_does_not_know_are_named_with_a_prediction() -> None:
    found = GpuModel(Target("a100")).network(nn.Sequential(SMALL, Renormed()), (1, *SHAPE))
    assert found.unknown == ("aten.renorm",)
    assert GpuModel(Target("a100")).network(SMALL, (1, *SHAPE)).unknown == ()
