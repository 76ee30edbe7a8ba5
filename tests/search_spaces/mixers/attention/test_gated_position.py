"""Gated positional attention gives what timm's ConViT gives, and begins as a convolution."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.gated_position import (
    GatedPositionAttention,
    GatedPositionOptions,
)

# isort: split
from timm.models.convit import GPSA


@pytest.mark.parametrize("width", [32, 48])
def test_gated_positional_attention_equals_convits(
    randomised: Callable[[nn.Module], nn.Module], width: int
) -> None:
    theirs = randomised(GPSA(width, width // 16, qkv_bias=True))
    own = GatedPositionAttention(width, GatedPositionOptions(16))
    state = {"position": theirs.pos_proj.weight, "gate": theirs.gating_param}
    for key in ("weight", "bias"):
        q, k = getattr(theirs.qk, key).chunk(2)
        v, project = getattr(theirs.v, key), getattr(theirs.proj, key)
        state |= {f"q.{key}": q, f"k.{key}": k, f"v.{key}": v, f"project.{key}": project}
    own.load_state_dict(state)
    own.double()
    x = torch.randn(2, width, 5, 5, dtype=torch.float64)
    theirs.rel_indices = theirs.get_rel_indices(25)
    y = theirs(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)


def test_on_a_map_that_is_not_square_the_position_scores_are_those_of_all_pairs(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(GatedPositionAttention(32, GatedPositionOptions(16)))
    v = torch.randn(1, 2, 3, 4, 16, dtype=torch.float64)
    scores = torch.empty(2, 12, 12, dtype=torch.float64)
    for i in range(12):
        for j in range(12):
            down, right = j // 4 - i // 4, j % 4 - i % 4
            about = torch.tensor([right, down, right**2 + down**2], dtype=torch.float64)
            scores[:, i, j] = own.position @ about
    expected = scores.softmax(2) @ v.flatten(2, 3)
    torch.testing.assert_close(own._look(v), expected, rtol=0, atol=1e-10)


def test_each_head_begins_by_looking_at_another_offset() -> None:
    own = GatedPositionAttention(20 * 16, GatedPositionOptions(16))
    v = torch.zeros(1, 20, 7, 7, 1)
    v[:, :, 3, 3] = 1  # the weight with which each position looks at the centre
    seen: Tensor = own._look(v)[0, :, :, 0].argmax(1)
    assert seen[0] == 24
    assert len(set(seen.tolist())) == 20
    smaller = GatedPositionAttention(5 * 16, GatedPositionOptions(16))
    assert torch.equal(smaller.position, own.position[:5])
