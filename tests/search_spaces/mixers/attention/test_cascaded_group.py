"""Cascaded group attention gives what timm's EfficientViT gives with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.cascaded_group import (
    CascadedGroupAttention,
    CascadedGroupOptions,
)

# isort: split
from timm.models.efficientvit_msra import LocalWindowAttention


def weights_of(theirs: nn.Module, heads: int) -> dict[str, Tensor]:
    names = {
        "qkv.": "qkv.conv.",
        "norm.": "qkv.bn.",
        "query.": "dws.conv.",
        "query_norm.": "dws.bn.",
    }
    state = theirs.attn.state_dict()
    found = {f"norm.{key}": value for key, value in theirs.attn.proj[1].bn.state_dict().items()}
    for i, project in enumerate(theirs.attn.proj[1].conv.weight[:, :, 0, 0].chunk(heads, 1)):
        found[f"project.{i}"] = project
        side = theirs.attn.resolution
        found[f"heads.{i}.bias"] = state["attention_biases"][i].reshape(side, side)
        for own, name in names.items():
            layer, rest = name.split(".", 1)
            start = f"{layer.removesuffix('s')}s.{i}.{rest}"
            for key, value in state.items():
                if key.startswith(start):
                    found[f"heads.{i}.{own}{key.removeprefix(start)}"] = value
    return found


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("width", "heads"), [(24, 3), (20, 4), (32, 2)])
@pytest.mark.parametrize("side", [7, 10])
def test_cascaded_group_attention_equals_efficientvits(
    randomised: Callable[[nn.Module], nn.Module], width: int, heads: int, kernel: int, side: int
) -> None:
    theirs = randomised(
        LocalWindowAttention(
            width, 16, heads, width / heads / 16, side, 7, kernels=(kernel,) * heads
        )
    )
    own = CascadedGroupAttention(width, CascadedGroupOptions(heads, kernel))
    own.load_state_dict(weights_of(theirs, heads))
    own.double().eval()
    x = torch.randn(2, width, side, side, dtype=torch.float64)
    # Our head i has the channels i, i + heads, ...; theirs has them in one piece.
    theirs_x = x.reshape(2, -1, heads, side, side).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), theirs(theirs_x), rtol=0, atol=1e-10)


def test_a_map_smaller_than_a_window_has_the_biases_of_its_offsets(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(CascadedGroupAttention(20, CascadedGroupOptions(2, 3)))
    head = own.heads[0]
    x = torch.randn(1, 10, 3, 5, dtype=torch.float64)
    q, k, v = head.norm(head.qkv(x)).split([16, 16, 10], 1)
    q = head.query_norm(head.query(q))
    scores = torch.einsum("bcij,bckl->bijkl", q, k) / 4
    for i in range(3):
        for j in range(5):
            for m in range(3):
                for n in range(5):
                    scores[:, i, j, m, n] += head.bias[abs(i - m), abs(j - n)]
    weights = scores.flatten(3).softmax(3).reshape(scores.shape)
    y = torch.einsum("bijkl,bckl->bcij", weights, v)
    torch.testing.assert_close(head(x), y, rtol=0, atol=1e-10)


def test_channels_that_the_heads_do_not_divide_are_padded_with_zeros(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(CascadedGroupAttention(18, CascadedGroupOptions(4, 3)))
    x = torch.randn(2, 18, 4, 4, dtype=torch.float64)
    wide = randomised(CascadedGroupAttention(20, CascadedGroupOptions(4, 3)))
    state = own.state_dict()
    for i in range(4):
        state[f"project.{i}"] = torch.nn.functional.pad(state[f"project.{i}"], (0, 0, 0, 2))
    for key in ("weight", "bias", "running_mean", "running_var"):
        state[f"norm.{key}"] = torch.nn.functional.pad(state[f"norm.{key}"], (0, 2))
    wide.load_state_dict(state)
    expected = wide(torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 2)))[:, :18]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
