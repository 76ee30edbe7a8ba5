"""Halo attention gives what timm's HaloNet gives with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.attention.halo import HaloAttention, HaloOptions

# isort: split
from timm.layers.halo_attn import HaloAttn


@pytest.mark.parametrize(("block", "halo"), [(4, 1), (4, 3), (8, 3)])
@pytest.mark.parametrize("width", [16, 48])
def test_halo_attention_equals_halonets(
    randomised: Callable[[nn.Module], nn.Module], width: int, block: int, halo: int
) -> None:
    heads = width // 16
    theirs = randomised(
        HaloAttn(
            width, num_heads=heads, dim_head=16, block_size=block, halo_size=halo, qkv_bias=True
        )
    )
    own = HaloAttention(width, HaloOptions(block, halo, 16))
    # Theirs counts from the window's corner: block - 1 + halo entries before offset 0 are used.
    start = block + 2 * halo - block
    state = {
        "rows": theirs.pos_embed.height_rel[start:].T[:, :, None],
        "columns": theirs.pos_embed.width_rel[start:].T[:, None],
        "project.weight": torch.eye(width),
        "project.bias": torch.zeros(width),
    }
    for key in ("weight", "bias"):
        q, kv = (getattr(layer, key) for layer in (theirs.q, theirs.kv))
        kv = kv.reshape(heads, 2, 16, *kv.shape[1:])
        state[f"q.{key}"] = q.flatten(1) if key == "weight" else q
        for i, name in enumerate("kv"):
            part = kv[:, i].flatten(0, 1)
            state[f"{name}.{key}"] = part.flatten(1) if key == "weight" else part
    own.load_state_dict(state)
    x = torch.randn(2, width, 16, 8, dtype=torch.float64)
    torch.testing.assert_close(own.double()(x), theirs(x), rtol=0, atol=1e-10)


def test_blocks_that_do_not_tile_a_map_see_keys_and_values_of_zero_beyond_it(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(HaloAttention(20, HaloOptions(4, 1, 16)))
    for layer in (own.q, own.k, own.v):
        nn.init.zeros_(layer.bias)  # so that a padded position has a key and a value of zero
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    expected = own(F.pad(x, (0, 2, 0, 3)))[:, :, :5, :6]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_a_map_smaller_than_a_block_is_one_block(
    randomised: Callable[[nn.Module], nn.Module],
) -> None:
    own = randomised(HaloAttention(16, HaloOptions(8, 1, 16)))
    x = torch.randn(1, 16, 3, 3, dtype=torch.float64)
    q, k, v = (torch.einsum("oc,bcij->ijo", p.weight, x) + p.bias for p in (own.q, own.k, own.v))
    k, v = (F.pad(t, (0, 0, 1, 1, 1, 1)) for t in (k, v))
    y = torch.empty(3, 3, 16, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            scores = torch.empty(25, dtype=torch.float64)
            for at in range(25):
                row, column = at // 5, at % 5
                place = own.rows[:, 8 + row - 1 - i, 0] + own.columns[:, 0, 8 + column - 1 - j]
                scores[at] = q[i, j] @ k[row, column] / 4 + q[i, j] @ place
            y[i, j] = scores.softmax(0) @ v.flatten(0, 1)
    expected = own.project(y).permute(2, 0, 1)[None]
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)
