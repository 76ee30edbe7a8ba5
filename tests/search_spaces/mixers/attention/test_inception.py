"""The inception mixer equals the authors' arithmetic, written part by part."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.mixers.attention.inception import Inception, InceptionOptions


def pooled(x: Tensor, side: int) -> Tensor:
    """Means over groups of side x side positions, over those that are on the map."""
    rows = []
    for i in range(0, x.shape[2], side):
        groups = [x[:, :, i : i + side, j : j + side] for j in range(0, x.shape[3], side)]
        rows.append(torch.stack([group.mean((2, 3)) for group in groups], 2))
    return torch.stack(rows, 2)


def greatest(x: Tensor) -> Tensor:
    """The greatest of the 3 x 3 positions around each one."""
    y = torch.empty_like(x)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            around = x[:, :, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
            y[:, :, i, j] = around.amax((2, 3))
    return y


def times(weight: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("oc,bcij->boij", weight, x)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize(("width", "share"), [(20, 0.25), (20, 0.75), (64, 0.75)])
def test_inception_equals_its_formula(
    randomised: Callable[[nn.Module], nn.Module], width: int, share: float, pool: int
) -> None:
    own = randomised(Inception(width, InceptionOptions(share, pool, 16)))
    x = torch.randn(2, width, 5, 6, dtype=torch.float64)
    low = round(width * share)
    first = (width - low) // 2
    conv, maximum, attended = x[:, :first], x[:, first : width - low], x[:, width - low :]

    conv = times(own.expand_conv.weight, conv)
    conv = F.gelu(F.conv2d(conv, own.filter.weight, padding=1, groups=2 * first))
    maximum = times(own.expand_pool.weight, greatest(maximum))
    maximum = F.gelu(maximum + own.expand_pool.bias[:, None, None])
    small = pooled(attended, pool)
    t = small.flatten(2).transpose(1, 2)
    heads = max(1, low // 16)
    q, k, v = (layer(t).reshape(2, -1, heads, 16) for layer in (own.q, own.k, own.v))
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / 4
    y = torch.einsum("bhnm,bmhd->bnhd", scores.softmax(3), v).flatten(2)
    y = y.transpose(1, 2).reshape(2, -1, *small.shape[2:])
    attended = torch.stack([y[:, :, i // pool, j // pool] for i in range(5) for j in range(6)], 2)
    attended = attended.reshape(2, -1, 5, 6)

    y = torch.cat((conv, maximum, attended), 1)
    parts = own.fuse_conv, own.fuse_pool, own.fuse_attention
    taps = torch.cat([part.filter.weight for part in parts])
    y = y + F.conv2d(y, taps, padding=1, groups=y.shape[1])
    y = times(torch.cat([part.project.weight for part in parts], 1), y)
    y = y + own.fuse_attention.project.bias[:, None, None]
    torch.testing.assert_close(own(x), y, rtol=0, atol=1e-10)
