"""The selective scan equals its recurrence, one position after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.state_space.selective_scan import (
    SelectiveScan,
    SelectiveScanOptions,
    chunked_scan,
)


def recurrence(v: Tensor, log_decay: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """The scan of one sequence: v (N, d), log_decay (N), enter and leave (N, state)."""
    state = torch.zeros(enter.shape[1], v.shape[1], dtype=v.dtype)
    outputs = []
    for t in range(len(v)):
        state = log_decay[t].exp() * state + torch.outer(enter[t], v[t])
        outputs.append(leave[t] @ state)
    return torch.stack(outputs)


@pytest.mark.parametrize("count", [1, 5, 64, 65, 200])
def test_a_chunked_scan_equals_the_recurrence(count: int) -> None:
    torch.manual_seed(0)
    v, enter, leave = (torch.randn(2, count, n, dtype=torch.float64) for n in (3, 4, 4))
    log_decay = -torch.rand(2, count, 1, dtype=torch.float64)
    z = chunked_scan(v, log_decay, enter, leave)
    for i in range(2):
        expected = recurrence(v[i], log_decay[i, :, 0], enter[i], leave[i])
        torch.testing.assert_close(z[i], expected, rtol=0, atol=1e-10)


def order(direction: int, height: int, width: int) -> list[tuple[int, int]]:
    """The positions in the order in which a direction visits them."""
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    return [rows, rows[::-1], columns, columns[::-1]][direction]


@pytest.mark.parametrize("directions", [2, 4])
@pytest.mark.parametrize("size", [(4, 5), (9, 8)])
def test_selective_scan_equals_its_equations(directions: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    own = SelectiveScan(32, SelectiveScanOptions(directions, 8)).double()
    nn.init.normal_(own.step, std=0.3)
    nn.init.normal_(own.skip)
    x = torch.randn(1, 32, *size, dtype=torch.float64)

    def pointwise(t: Tensor, layer: nn.Linear) -> Tensor:
        return torch.einsum("oc,bchw->bohw", layer.weight, t) + layer.bias[:, None, None]

    value = pointwise(x, own.value)
    v = F.silu(F.conv2d(value, own.local.weight, own.local.bias, padding=1, groups=32))[0]
    y = torch.zeros_like(v)
    for direction in range(directions):
        places = order(direction, *size)
        sequence = torch.stack([v[:, i, j] for i, j in places])  # (N, 32)
        enter, leave = sequence @ own.enter[direction].T, sequence @ own.leave[direction].T
        for head in range(2):
            channels = slice(16 * head, 16 * (head + 1))
            step = F.softplus(
                sequence @ own.step[direction, head] + own.step_bias[direction, head]
            )
            decay = -step * own.decay[direction, head].exp()
            values = sequence[:, channels]
            z = recurrence(step[:, None] * values, decay, enter, leave)
            z = z + own.skip[direction, head] * values
            for (i, j), output in zip(places, z, strict=True):
                y[channels, i, j] += output
    y = F.layer_norm(y.permute(1, 2, 0), (32,), own.norm.weight, own.norm.bias, 1e-5)
    y = y.permute(2, 0, 1)[None] * F.silu(pointwise(x, own.gate))
    torch.testing.assert_close(own(x), pointwise(y, own.project), rtol=0, atol=1e-10)


def test_the_first_steps_are_between_a_thousandth_and_a_tenth() -> None:
    own = SelectiveScan(48, SelectiveScanOptions())
    steps = F.softplus(own.step_bias)
    assert steps.min() >= 0.99e-3
    assert steps.max() <= 0.1001
