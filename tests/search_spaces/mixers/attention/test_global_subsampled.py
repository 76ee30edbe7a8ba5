"""Global sub-sampled attention gives what timm's Twins gives, and what the paper compares."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.global_subsampled import (
    GlobalSubsampledAttention,
    GlobalSubsampledOptions,
)

# isort: split
from timm.models.twins import GlobalSubSampleAttn


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("ratio", [2, 4])
def test_with_convolutions_it_equals_twins(
    randomised: Callable[[nn.Module], nn.Module], width: int, ratio: int
) -> None:
    theirs = randomised(GlobalSubSampleAttn(width, width // 32, sr_ratio=ratio))
    own = GlobalSubsampledAttention(width, GlobalSubsampledOptions("convolution", ratio))
    theirs.norm.eps = own.norm.eps
    state = {}
    for key in ("weight", "bias"):
        k, v = getattr(theirs.kv, key).chunk(2)
        state |= {f"k.{key}": k, f"v.{key}": v}
        for name, layer in {"q": "q", "project": "proj", "reduce": "sr", "norm": "norm"}.items():
            state[f"{name}.{key}"] = getattr(getattr(theirs, layer), key)
    own.load_state_dict(state)
    x = torch.randn(2, width, 8, 4, dtype=torch.float64)
    y = theirs(x.flatten(2).transpose(1, 2), (8, 4)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own.double()(x), y, rtol=0, atol=1e-10)


def group_of(own: GlobalSubsampledAttention, x: Tensor, row: int, column: int) -> Tensor:
    """The summary of one 2 x 2 group of a 5 x 6 map, (B, C)."""
    found = [
        (i, j, x[:, :, 2 * row + i, 2 * column + j])
        for i in range(2)
        for j in range(2)
        if 2 * row + i < 5 and 2 * column + j < 6
    ]
    if own.summary == "mean":
        return sum(part for _, _, part in found) / len(found)
    weight = own.filter.weight[:, 0]
    return sum(weight[:, i, j] * part for i, j, part in found) + own.filter.bias


@pytest.mark.parametrize("summary", ["mean", "depthwise"])
def test_an_odd_map_is_summarised_group_by_group(
    randomised: Callable[[nn.Module], nn.Module], summary: str
) -> None:
    own = randomised(GlobalSubsampledAttention(20, GlobalSubsampledOptions(summary, 2)))
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    z = torch.stack([group_of(own, x, i, j) for i in range(3) for j in range(3)], 1)
    z = (z - z.mean(2, keepdim=True)) / (z.var(2, correction=0, keepdim=True) + 1e-6).sqrt()
    z = z * own.norm.weight + own.norm.bias
    q, k, v = own.q(x.flatten(2).transpose(1, 2)), own.k(z), own.v(z)
    y = own.project((q @ k.transpose(1, 2) / 32**0.5).softmax(2) @ v)
    expected = y.transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
