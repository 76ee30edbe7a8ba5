"""Modules with random weights, in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

Randomise = Callable[[nn.Module], nn.Module]


@pytest.fixture
def randomised() -> Randomise:
    """Gives a module random weights and statistics, and puts it in eval mode."""

    def randomise(module: nn.Module) -> nn.Module:
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(buffer)
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0)
        return module.double().eval()

    return randomise
