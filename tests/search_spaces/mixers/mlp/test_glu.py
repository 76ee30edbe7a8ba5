"""Activator's gating unit, position by position."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces.mixers.mlp.glu import GLU, GLUOptions


@pytest.mark.parametrize("expand", [1, 2])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_glu_mixing_equals_its_equation_at_each_position(expand: int, activation: str) -> None:
    torch.manual_seed(0)
    own = GLU(20, GLUOptions(expand, activation)).double()
    nn.init.normal_(own.norm.weight)
    nn.init.normal_(own.norm.bias)
    act = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[activation]
    x = torch.randn(2, 20, 3, 4, dtype=torch.float64)

    def normed(v: torch.Tensor) -> torch.Tensor:
        v = (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt()
        return v * own.norm.weight + own.norm.bias

    y = own(x)
    for image in range(2):
        for row in range(3):
            for column in range(4):
                v = x[image, :, row, column]
                gate = normed(act(own.gate.weight @ v + own.gate.bias))
                value = normed(own.value.weight @ v + own.value.bias)
                expected = own.project.weight @ (gate * value) + own.project.bias
                torch.testing.assert_close(y[image, :, row, column], expected, rtol=0, atol=1e-10)
