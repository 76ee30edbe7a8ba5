"""Networks on a GPU: in the target's conditions, with the processor in a GPU's place."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import ExportError, NotFittedError
from nas.latency import Effort, Target, measure_networks
from nas.latency.gpu import machine
from nas.latency.gpu.cuda import Gpu
from nas.latency.gpu.machine import RUNTIMES, GpuMachine, at_hand
from nas.latency.measure import machine_of
from nas.progress import Silent

BRIEF = Effort(0.0, least=2, most=2)
SHAPE = (2, 3, 8, 8)


class Seen(nn.Module):
    """Notes what it is given and what its weights are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.notes: set[tuple[torch.dtype, torch.dtype, bool]] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        last = x.is_contiguous(memory_format=torch.channels_last)
        self.notes.add((self.conv.weight.dtype, y.dtype, last))
        return y


class TooLarge(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("Tried to allocate 200 GiB")


@pytest.mark.parametrize(
    ("precision", "weights", "result"),
    [
        ("fp32", torch.float32, torch.float32),
        ("tf32", torch.float32, torch.float32),
        ("fp16", torch.float16, torch.float16),
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("amp", torch.float32, torch.float16),
    ],
)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_networks_run_in_the_targets_precision_and_layout(
    clock: Any, precision: str, weights: torch.dtype, result: torch.dtype, layout: str
) -> None:
    module, target = Seen(), Target("a100", precision=precision, layout=layout, batch_size=2)
    found = measure_networks(
        [module], [SHAPE], target, effort=BRIEF, machine=GpuMachine(target, clock)
    )
    assert module.notes == {(weights, result, layout == "channels_last")}
    assert clock.tf32 == (precision == "tf32")
    assert not any(parameter.is_inference() for parameter in module.parameters())
    assert found.ms[0] > 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_is_timed_in_each_runtime(clock: Any, runtime: str) -> None:
    if runtime == "compile" and shutil.which("g++") is None:
        pytest.skip("there is no g++")
    target = Target("a100", runtime=runtime, precision="fp32")
    machine = GpuMachine(target, clock)
    found = measure_networks([nn.Linear(3, 2)], [(4, 3)], target, effort=BRIEF, machine=machine)
    assert found.ms[0] > 0
    assert clock.captures == (runtime == "cuda-graph")


def test_a_graph_is_given_the_new_images(clock: Any) -> None:
    given: list[float] = []

    class Notes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given.append(float(x.sum()))
            return x

    target = Target("a100", runtime="cuda-graph", precision="fp32")
    machine = GpuMachine(target, clock)
    rng = np.random.default_rng(0)
    with machine.ready():
        (run,) = machine.passes([Notes()], [SHAPE], rng, Silent())
        assert run is not None
        new = machine.images(SHAPE, rng)
        run(new)
    assert given[-1] == pytest.approx(float(new.sum()))
    assert given[-1] != given[-2]


def test_what_does_not_fit_the_memory_is_left_out(clock: Any, heard: Any) -> None:
    target = Target("a100", precision="fp32")
    machine = GpuMachine(target, clock)
    networks = [Seen(), TooLarge(), Seen()]
    found = measure_networks(
        networks, [SHAPE] * 3, target, effort=BRIEF, progress=heard, machine=machine
    )
    assert found.fits.tolist() == [True, False, True]
    assert np.isnan(found.quarters_ms[1]).all()
    assert found.repeat_noise >= 0
    assert "1 of 3 networks left out: the GPU's memory does not hold them" in heard.said
    with pytest.raises(NotFittedError, match="holds none of the 1 networks in batches of 1"):
        measure_networks([TooLarge()], [SHAPE], target, effort=BRIEF, machine=machine)


def test_memory_that_is_full_only_later_is_told_as_well(clock: Any) -> None:
    calls = []

    class FullLater(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(x)
            if len(calls) > 2:  # those that make it ready
                raise torch.OutOfMemoryError("full")
            return x

    target = Target("a100")
    with pytest.raises(NotFittedError, match="holds not all of the 1 networks in batches of 1"):
        measure_networks(
            [FullLater()], [SHAPE], target, effort=BRIEF, machine=GpuMachine(target, clock)
        )


def test_a_network_that_cannot_be_captured_is_told(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(clock, "captured", refuse)
    target = Target("a100", runtime="cuda-graph", precision="fp32")
    with pytest.raises(ExportError, match="cannot be captured as a CUDA graph: operation not"):
        measure_networks(
            [Seen()], [SHAPE], target, effort=BRIEF, machine=GpuMachine(target, clock)
        )


def test_other_programs_on_the_gpu_are_told_of(clock: Any, heard: Any) -> None:
    clock.busy = 2
    target = Target("a100", precision="fp32")
    machine = GpuMachine(target, clock)
    measure_networks([Seen()], [SHAPE], target, effort=BRIEF, progress=heard, machine=machine)
    assert any(said.startswith("2 other program(s) use this GPU") for said in heard.said)


OTHERS = [
    ([], "torch .* finds no CUDA GPU here"),
    ([Gpu(0, "NVIDIA H200", "h200", 132, 1, 60.0, "")], r"NVIDIA H200 \(--hardware h200\)"),
    ([Gpu(0, "NVIDIA L99", None, 9, 1, 9.0, "")], "NVIDIA L99, which no device file describes"),
]


@pytest.mark.parametrize(("here", "message"), OTHERS)
def test_a_gpu_that_is_not_at_hand_is_told_with_the_one_that_is(
    here: list[Gpu], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: here)
    with pytest.raises(NotFittedError, match=f"^a100 is not at hand.*{message}.*--kit DIR"):
        machine_of(Target("a100"))
    assert not at_hand(Target("a100"))
    assert at_hand(Target("cpu"))


def test_of_several_gpus_the_named_one_is_taken(
    a100_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (second,) = machine.gpus()
    first = Gpu(0, "NVIDIA H200", "h200", 132, 1, 60.0, "")
    monkeypatch.setattr(machine, "gpus", lambda: [first, second])
    found = machine_of(Target("a100"))
    assert isinstance(found, GpuMachine)
    assert found.clock.facts()["model"] == second.title


def test_a_runtime_that_does_not_run_here_is_for_a_kit(a100_here: None) -> None:
    assert at_hand(Target("a100"))
    assert not at_hand(Target("a100", runtime="tensorrt"))
    with pytest.raises(NotFittedError, match="tensorrt does not run in this program: eager, "):
        machine_of(Target("a100", runtime="tensorrt"))


def test_measuring_ends_when_the_medians_are_sure(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "ms", lambda run: 2.0)
    target = Target("a100", precision="fp32")
    machine = GpuMachine(target, clock)
    sure = Effort(60.0, least=3, most=50, tight=0.001)
    found = measure_networks([Seen()], [SHAPE], target, effort=sure, machine=machine)
    assert found.rounds == 3
    assert found.ms.tolist() == [2.0]
    times = iter([1.0, 2.0, 3.0] * 200)
    monkeypatch.setattr(clock, "ms", lambda run: next(times))
    found = measure_networks([Seen()], [SHAPE], target, effort=sure, machine=machine)
    assert found.rounds == 50
