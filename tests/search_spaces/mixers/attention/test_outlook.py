"""Outlook attention gives what timm's VOLO gives with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.outlook import OutlookAttention, OutlookOptions

# isort: split
from timm.models.volo import OutlookAttention as VoloAttention


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 1)])
@pytest.mark.parametrize("width", [16, 48])
def test_outlook_attention_equals_volos(
    randomised: Callable[[nn.Module], nn.Module], width: int, size: tuple[int, int], stride: int
) -> None:
    theirs = randomised(VoloAttention(width, width // 16, stride=stride, qkv_bias=True))
    own = OutlookAttention(width, OutlookOptions(stride, 16))
    names = {"v": "v", "weights": "attn", "project": "proj"}
    own.load_state_dict(
        {
            f"{own_name}.{key}": value
            for own_name, name in names.items()
            for key, value in getattr(theirs, name).state_dict().items()
        }
    )
    x = torch.randn(2, width, *size, dtype=torch.float64)
    expected = theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(own.double()(x), expected, rtol=0, atol=1e-10)
