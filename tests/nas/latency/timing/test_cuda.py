"""What is asked of CUDA: tried on a GPU where there is one, and otherwise without it."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.latency.timing.cuda import CudaClock, Gpu, NvidiaSmi, gpus

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


class Answers:
    """Stands for `subprocess.run`: answers with a text, or raises an error."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.asked.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return subprocess.CompletedProcess(command, 0, self.answer)


def test_the_clocks_are_those_of_this_gpu() -> None:
    run = Answers("1410, 1593, 92.57, [N/A], 580.159.03\n")
    assert NvidiaSmi("GPU-abc", run).state() == {
        "sm_mhz": 1410.0,
        "memory_mhz": 1593.0,
        "power_w": 92.57,
        "temperature_c": None,
        "driver": "580.159.03",
    }
    assert "--id=GPU-abc" in run.asked[0]


@pytest.mark.parametrize(
    "error", [FileNotFoundError(), subprocess.TimeoutExpired("x", 1.0), PermissionError()]
)
def test_without_an_answer_nothing_is_known(error: Exception) -> None:
    smi = NvidiaSmi("GPU-abc", Answers(error))
    assert smi.state() == {}
    assert smi.programs() == 0


def test_other_programs_on_the_gpu_are_counted() -> None:
    assert NvidiaSmi("GPU-abc", Answers("12\n345\n678\n")).programs() == 3


@pytest.mark.parametrize(
    ("title", "device"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_a_gpu_is_known_by_what_its_driver_calls_it(title: str, device: str | None) -> None:
    properties = SimpleNamespace(
        name=title,
        uuid="abc",
        multi_processor_count=108,
        total_memory=40 * 2**30,
        L2_cache_size=40 * 2**20,
    )
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda index: properties,
    )
    assert gpus(cuda) == [Gpu(0, title, device, 108, 40 * 1024, 40.0, "GPU-abc")]


def test_without_cuda_there_is_no_gpu() -> None:
    assert gpus(SimpleNamespace(is_available=lambda: False)) == []


@needs_gpu
def test_work_is_timed_and_captured() -> None:
    clock = CudaClock(gpus()[0])
    before = torch.backends.cudnn.benchmark
    with torch.inference_mode(), clock.ready(tf32=False):
        x = torch.ones(1 << 24, device=clock.device)
        replay = clock.captured(lambda: x.add_(1))
        x.zero_()
        assert clock.ms(replay) > 0
        assert float(x[0]) == 1.0
        assert clock.ms(lambda: [x.mul_(1) for _ in range(50)]) > clock.ms(lambda: x.mul_(1))
    assert torch.backends.cudnn.benchmark == before
    assert clock.facts()["sms"] > 0
