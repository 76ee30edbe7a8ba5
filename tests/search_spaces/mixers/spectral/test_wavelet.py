"""Wavelet-space attention: an orthogonal transform, as a matrix, and attention in its space."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.spectral.wavelet import (
    SelfAttention,
    WaveletAttention,
    WaveletOptions,
    analysed,
    composed,
    filters_of,
)


def transform(size: int, wavelet: str) -> Tensor:
    """One level of the transform as a matrix: the rows of the low half, then of the high half."""
    root = math.sqrt(3)
    low = [1, 1] if wavelet == "haar" else [1 + root, 3 + root, 3 - root, 1 - root]
    low = [tap / math.sqrt(sum(t * t for t in low)) for tap in low]
    high = [(-1) ** k * low[len(low) - 1 - k] for k in range(len(low))]
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for i in range(size // 2):
        for k in range(len(low)):
            matrix[i, (2 * i + k) % size] += low[k]
            matrix[size // 2 + i, (2 * i + k) % size] += high[k]
    return matrix


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("size", [2, 4, 10])
def test_the_transform_is_the_orthogonal_matrix_of_its_wavelet(wavelet: str, size: int) -> None:
    matrix = transform(size, wavelet)
    identity = torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, identity, rtol=0, atol=1e-12)
    x = torch.randn(3, size, dtype=torch.float64)
    halves = analysed(x, 1, filters_of(wavelet))
    torch.testing.assert_close(torch.cat(halves, dim=1), x @ matrix.T, rtol=0, atol=1e-12)
    again = composed(halves[0], halves[1], 1, filters_of(wavelet))
    torch.testing.assert_close(again, x, rtol=0, atol=1e-12)


def attended(own: SelfAttention, t: Tensor) -> Tensor:
    """Attention among the rows of `t`, head by head."""
    outputs = []
    for head in range(own.heads):
        rows = slice(16 * head, 16 * (head + 1))
        q, k, v = (t @ layer.weight[rows].T for layer in (own.q, own.k, own.v))
        outputs.append((q @ k.T / 4).softmax(dim=1) @ v)
    return torch.cat(outputs, dim=1) @ own.project.weight.T


def level(own: WaveletAttention, t: Tensor, wavelet: str, depth: int) -> Tensor:
    """Levels from `depth` on of a map (H, W, C)."""
    if depth == own.levels:
        return attended(own.coarse, t.flatten(0, 1)).reshape(t.shape)
    height, width = t.shape[0] // 2, t.shape[1] // 2
    rows, columns = transform(2 * height, wavelet), transform(2 * width, wavelet)
    c = torch.einsum("ih,jw,hwc->ijc", rows, columns, t)
    places = [
        (slice(0, height), slice(width, None)),
        (slice(height, None), slice(0, width)),
        (slice(height, None), slice(width, None)),
    ]
    details = attended(own.details[depth], torch.cat([c[p].flatten(0, 1) for p in places]))
    done = torch.empty_like(c)
    done[:height, :width] = level(own, c[:height, :width], wavelet, depth + 1)
    for place, part in zip(places, details.chunk(3), strict=True):
        done[place] = part.reshape(height, width, -1)
    return torch.einsum("ih,jw,ijc->hwc", rows, columns, done)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("width", [20, 32])
@pytest.mark.parametrize("size", [(8, 4), (5, 7)])
def test_wavelet_attention_equals_attention_between_matrices(
    wavelet: str, levels: int, width: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    own = WaveletAttention(width, WaveletOptions(wavelet, levels, 16)).double()
    x = torch.randn(1, width, *size, dtype=torch.float64)
    padding = [-n % 2**levels for n in size]
    t = F.pad(x, (0, padding[1], 0, padding[0]))[0].permute(1, 2, 0)
    expected = level(own, t, wavelet, 0)[: size[0], : size[1]].permute(2, 0, 1)
    torch.testing.assert_close(own(x)[0], expected, rtol=0, atol=1e-10)
