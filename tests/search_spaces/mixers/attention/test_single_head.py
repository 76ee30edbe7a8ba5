"""Single-head attention gives what timm's SHViT gives with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.single_head import SingleHeadAttention, SingleHeadOptions

# isort: split
from timm.models.shvit import SHSA


@pytest.mark.parametrize("width", [20, 48])
@pytest.mark.parametrize("share", [0.214, 0.5])
def test_single_head_attention_equals_shvits(
    randomised: Callable[[nn.Module], nn.Module], width: int, share: float
) -> None:
    theirs = randomised(SHSA(width, 16, round(width * share)))
    own = SingleHeadAttention(width, SingleHeadOptions(share))
    names = {
        "pre_norm.": "norm.",
        "qkv.c.": "qkv.",
        "qkv.bn.": "qkv_norm.",
        "proj.1.c.": "project.",
        "proj.1.bn.": "project_norm.",
    }
    state = {}
    for key, value in theirs.state_dict().items():
        start = next(name for name in names if key.startswith(name))
        state[key.replace(start, names[start], 1)] = value
    own.load_state_dict(state)
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(own.double().eval()(x), theirs(x), rtol=0, atol=1e-10)
