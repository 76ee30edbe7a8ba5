"""Networks on a GPU: in the target's conditions, with the processor in a GPU's place."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import ExportError, NotFittedError
from nas.latency import Effort, Target, measure_networks
from nas.latency.timing.cuda import Gpu
from nas.latency.timing.gpu import RUNTIMES, Clock, GpuMachine
from nas.latency.timing.machines import machine_of
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


class Fails(nn.Module):
    """Raises an error at its first run, or at a later one."""

    def __init__(self, error: Exception, runs: int = 0) -> None:
        super().__init__()
        self.error, self.runs = error, runs
        self.given: list[weakref.ref[torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(weakref.ref(x))
        if len(self.given) > self.runs:
            raise type(self.error)(*self.error.args)  # a new one, which nobody else holds
        return x


FULL = [
    torch.OutOfMemoryError("Tried to allocate 200 GiB"),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]
NOT_RUN = [
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if"),
    torch.AcceleratorError("CUDA error: no kernel image is available\nCUDA kernel errors ..."),
]
PREPARING = 2
"""Runs that make a network ready."""


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


@pytest.mark.parametrize("full", FULL)
def test_what_does_not_fit_the_memory_is_left_out(full: Exception, clock: Any, heard: Any) -> None:
    target = Target("a100", precision="fp32")
    machine = GpuMachine(target, clock)
    networks = [Seen(), Fails(full), Seen()]
    found = measure_networks(
        networks, [SHAPE] * 3, target, effort=BRIEF, progress=heard, machine=machine
    )
    assert found.fits.tolist() == [True, False, True]
    assert np.isnan(found.quarters_ms[1]).all()
    assert found.repeat_noise >= 0
    assert "1 of 3 networks left out: the GPU's memory does not hold them" in heard.said
    with pytest.raises(NotFittedError, match="holds none of the 1 networks in batches of 1"):
        measure_networks([Fails(full)], [SHAPE], target, effort=BRIEF, machine=machine)


@pytest.mark.parametrize("full", FULL)
def test_memory_that_is_full_only_later_is_told_as_well(full: Exception, clock: Any) -> None:
    target = Target("a100")
    machine, network = GpuMachine(target, clock), Fails(full, PREPARING)
    with pytest.raises(NotFittedError, match="holds not all of the 1 networks at once"):
        measure_networks([network], [SHAPE], target, effort=BRIEF, machine=machine)


def test_memory_that_is_full_during_a_capture_counts_whatever_that_ends_with(clock: Any) -> None:
    def captured(run: Any) -> None:
        try:
            run()
        finally:  # as torch ends a capture
            raise RuntimeError("CUDA error: operation failed due to a previous error")

    clock.captured = captured
    target = Target("a100", runtime="cuda-graph")
    machine, network = GpuMachine(target, clock), Fails(FULL[0], PREPARING)
    with pytest.raises(NotFittedError, match="holds none of the 1 networks"):
        measure_networks([network], [SHAPE], target, effort=BRIEF, machine=machine)


@pytest.mark.parametrize("full", FULL)
def test_what_is_left_out_leaves_nothing_in_the_memory(full: Exception, clock: Any) -> None:
    network, rng = Fails(full), np.random.default_rng(0)
    machine = GpuMachine(Target("a100"), clock)
    with machine.ready():  # which collects no garbage
        assert machine.passes([network], [SHAPE], rng, Silent()) == [None]
        assert [image() for image in network.given] == [None]


@pytest.mark.parametrize("runs", [0, PREPARING])
@pytest.mark.parametrize("error", NOT_RUN)
def test_a_network_that_the_gpu_cannot_run_is_told(
    error: Exception, runs: int, clock: Any
) -> None:
    target = Target("a100", precision="bf16")
    machine, network = GpuMachine(target, clock), Fails(error, runs)
    with pytest.raises(ExportError) as told:
        measure_networks([network], [SHAPE], target, effort=BRIEF, machine=machine)
    assert str(told.value) == (
        f"a100 cannot run this network in eager, bf16: {type(error).__name__}: "
        f"{str(error).splitlines()[0].rstrip('.')}. Choose another --runtime or --precision, or a "
        "smaller --batch-size."
    )


def test_a_network_that_cannot_be_captured_is_told(clock: Any) -> None:
    def refuse(run: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    clock.captured = refuse
    target = Target("a100", runtime="cuda-graph", precision="fp32")
    with pytest.raises(ExportError, match="in cuda-graph, fp32: RuntimeError: operation not"):
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
    ([Gpu(0, "NVIDIA L99", None, 9, 1, 9.0, "")], r"NVIDIA L99 \(no device file describes it"),
]


@pytest.mark.parametrize(("here", "message"), OTHERS)
def test_a_gpu_that_is_not_at_hand_is_told_with_the_one_that_is(
    here: list[Gpu], message: str
) -> None:
    with pytest.raises(NotFittedError, match=f"^a100 is not at hand.*{message}.*--kit DIR"):
        GpuMachine.of(Target("a100"), find=lambda: here)


def test_a_cuda_that_does_not_work_is_told(clock: Any) -> None:
    def held(gpu: Gpu) -> Clock:
        raise RuntimeError("CUDA error: all devices are busy or unavailable\nCompile with ...")

    with pytest.raises(NotFittedError, match="CUDA does not work here.*unavailable. Check"):
        GpuMachine.of(Target("a100"), find=lambda: [clock.gpu], open_clock=held)


def test_a_board_is_for_a_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "pi5.yaml").write_text("title: Pi 5\nkind: board\ncores: 4\n")
    monkeypatch.setenv("NAS_CONFIG_DIR", str(tmp_path))
    with pytest.raises(NotFittedError, match="^pi5 cannot run this program.*--kit DIR"):
        machine_of(Target("pi5"))


def test_of_several_gpus_the_named_one_is_taken(clock: Any) -> None:
    first, second = Gpu(0, "NVIDIA H200", "h200", 132, 1, 60.0, ""), clock.gpu
    found = GpuMachine.of(Target("a100"), find=lambda: [first, second], open_clock=type(clock))
    assert found.facts()["model"] == second.title


def test_a_runtime_that_does_not_run_here_is_for_a_kit(clock: Any) -> None:
    with pytest.raises(NotFittedError, match="is at hand, but tensorrt does not run in this prog"):
        GpuMachine.of(Target("a100", runtime="tensorrt"), find=lambda: [clock.gpu])


def test_where_a_gpu_is_does_not_matter_for_a_runtime_that_needs_a_kit() -> None:
    with pytest.raises(NotFittedError, match=r"Run this where a100 is, or write networks .*eager"):
        GpuMachine.of(Target("a100"), find=list)
    with pytest.raises(NotFittedError, match=r"here\. Write networks .* --runtime tensorrt`"):
        GpuMachine.of(Target("a100", runtime="tensorrt"), find=list)


def test_measuring_ends_when_the_medians_are_sure(clock: Any) -> None:
    clock.ms = lambda run: 2.0
    target = Target("a100", precision="fp32")
    machine = GpuMachine(target, clock)
    sure = Effort(60.0, least=3, most=50, tight=0.001)
    found = measure_networks([Seen()], [SHAPE], target, effort=sure, machine=machine)
    assert found.rounds == 3
    assert found.ms.tolist() == [2.0]
    times = iter([1.0, 2.0, 3.0] * 200)
    clock.ms = lambda run: next(times)
    found = measure_networks([Seen()], [SHAPE], target, effort=sure, machine=machine)
    assert found.rounds == 50
