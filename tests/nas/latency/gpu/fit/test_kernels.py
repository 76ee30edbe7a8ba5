"""Single operations on a GPU: each is one launch of the model, on memory that is not cached."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.latency.gpu.fit.kernels import COPIES, PASSES, LaunchClock, calls_in, launch_of
from nas.latency.gpu.fusion import launches_of
from nas.latency.tracing.calls import calls_of
from nas.latency.tracing.trace import trace
from search_spaces.data_shape import DataShape
from search_spaces.space import SearchSpace

SHAPE = (2, 3, 12, 12)


class Everything(nn.Module):
    """A convolution, a norm, attention on strided heads, a look-up and products."""

    def __init__(self, dim: int = 20) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, dim, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.batch_norm = nn.BatchNorm2d(dim)
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.bias = nn.Parameter(torch.zeros(5, dim))
        self.register_buffer("index", torch.arange(36) % 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.batch_norm(self.depthwise(torch.relu(self.conv(x))))
        x = x.flatten(2).transpose(1, 2) + self.bias[self.index]  # (B, N, dim)
        heads = self.qkv(self.norm(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mixed: Tensor = nn.functional.scaled_dot_product_attention(*heads.unbind(0))
        return mixed.transpose(1, 2).flatten(2).softmax(-1).mean(1)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_an_operation_alone_is_the_launch_that_it_is_in_its_network(precision: Any) -> None:
    network = Everything().eval()
    whole = launches_of(trace(network, SHAPE, precision=precision), "none")
    calls = [call for call in calls_of(network, SHAPE) if call.launches]
    with torch.inference_mode():
        alone = [launch_of(call, precision) for call in calls]
    assert len(calls) == len(whole) == 11
    assert Counter(alone) == Counter(whole)


def test_what_is_several_launches_is_not_asked_for() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.matmul(x, x.expand(3, 2, 4, 4).transpose(2, 3))

    (call,) = [call for call in calls_of(Both(), (2, 4, 4)) if call.launches]
    assert launch_of(call, "fp32") is None


def test_the_operations_of_a_space_are_listed_once(space: SearchSpace) -> None:
    parts = [part for part in space.part_index(DataShape(3, 10)).parts if part is not None]
    calls = calls_in(parts, 2)
    assert len({call.key for call in calls}) == len(calls) > 3
    assert calls_in([*parts, *parts], 2)[0].key == calls[0].key
    assert len(calls_in([*parts, *parts], 2)) == len(calls)
    assert all(call.operands for call in calls)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_operation_of_a_network_is_timed(clock: Any, precision: str) -> None:
    timed = LaunchClock(clock, precision, 2**20)
    with torch.inference_mode():
        for call in calls_of(Everything().eval(), SHAPE):
            if call.launches and call.operands:
                ms, spread = timed.ms(call)
                assert ms > 0
                assert spread >= 0


def test_each_run_has_memory_of_its_own(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    (call,) = calls_of(nn.ReLU(), (1, 100))

    def noted(x: Tensor) -> Tensor:
        seen.append(x.data_ptr())
        return x

    object.__setattr__(call, "function", noted)
    ms, _ = LaunchClock(clock, "fp32", 2**20).ms(call)
    assert len(set(seen)) == COPIES
    assert len(seen) == COPIES * (1 + PASSES)
    assert {b - a for a, b in zip(seen, seen[1:COPIES], strict=False)} == {128 * 4}
    monkeypatch.setattr(clock, "ms", lambda run: 6.4)
    assert LaunchClock(clock, "fp32", 2**20).ms(call) == (pytest.approx(6.4 / COPIES), 0.0)


def test_an_operation_larger_than_the_memory_for_it_is_refused(clock: Any) -> None:
    (call,) = calls_of(nn.ReLU(), (1, 1000))
    with pytest.raises(torch.OutOfMemoryError, match="larger than what they are taken from"):
        LaunchClock(clock, "fp32", 1024).ms(call)
