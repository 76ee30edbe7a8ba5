"""Swift attention gives what timm's SwiftFormer gives with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.swift import SwiftAttention, SwiftOptions

# isort: split
from timm.models.swiftformer import EfficientAdditiveAttention


@pytest.mark.parametrize("width", [20, 48])
def test_swift_attention_equals_swiftformers(
    randomised: Callable[[nn.Module], nn.Module], width: int
) -> None:
    theirs = randomised(EfficientAdditiveAttention(width, width))
    own = SwiftAttention(width, SwiftOptions())
    names = {"q": "to_query", "k": "to_key", "mix": "proj", "project": "final"}
    state = {
        f"{own_name}.{key}": value
        for own_name, name in names.items()
        for key, value in getattr(theirs, name).state_dict().items()
    }
    own.load_state_dict(state | {"weight": theirs.w_g[:, 0]})
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(own.double()(x), theirs(x), rtol=0, atol=1e-10)
