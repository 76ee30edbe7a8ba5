"""Window MLP: Swin-MLP's windows one by one, its shift by padding, and maps of any size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.mixers.mlp.mlp import MLPOptions, WindowMLP


def swin_mlp(own: WindowMLP, x: Tensor, size: int, head_dim: int, shift: int) -> Tensor:
    """Swin-MLP of a map that windows tile: padding by the shift, then a loop over windows."""
    height, width = x.shape[2:]
    if shift:
        x = F.pad(x, (size - shift, shift, size - shift, shift))
    y = torch.empty_like(x)
    count = size * size
    weight, bias = own.weight.reshape(-1, count, count), own.bias.reshape(-1, count)
    for top in range(0, x.shape[2], size):
        for left in range(0, x.shape[3], size):
            for head in range(x.shape[1] // head_dim):
                place = (
                    slice(None),
                    slice(head * head_dim, (head + 1) * head_dim),
                    slice(top, top + size),
                    slice(left, left + size),
                )
                window = x[place]
                mixed = window.flatten(2) @ weight[head].T + bias[head]
                y[place] = mixed.reshape(window.shape)
    before = size - shift if shift else 0
    return y[:, :, before : before + height, before : before + width]


@pytest.mark.parametrize("size", [4, 7])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("head_dim", [16, 32])
def test_window_mlp_equals_swin_mlps(size: int, shifted: bool, head_dim: int) -> None:
    torch.manual_seed(0)
    own = WindowMLP(32, MLPOptions(size, shifted, head_dim)).double()
    x = torch.randn(2, 32, 2 * size, 3 * size, dtype=torch.float64)
    expected = swin_mlp(own, x, size, head_dim, size // 2 if shifted else 0)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


def test_a_window_as_large_as_the_map_is_the_first_layer_of_a_mixers_token_mlp() -> None:
    torch.manual_seed(0)
    own = WindowMLP(16, MLPOptions(4, False, 16)).double()
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64)
    layer = torch.nn.Linear(16, 16).double()
    layer.weight.data, layer.bias.data = own.weight.reshape(16, 16), own.bias.reshape(16)
    expected = layer(x.flatten(2)).reshape(x.shape)
    torch.testing.assert_close(own(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shifted", [False, True])
def test_windows_that_do_not_tile_a_map_are_those_of_the_map_padded_with_zeros(
    shifted: bool,
) -> None:
    own = WindowMLP(20, MLPOptions(4, shifted, 16)).double()
    x = torch.randn(2, 20, 5, 6, dtype=torch.float64)
    padded = own(F.pad(x, (0, 2, 0, 3)))[:, :, :5, :6]
    torch.testing.assert_close(own(x), padded, rtol=0, atol=1e-10)


def test_channels_that_do_not_fill_the_last_head_use_its_weights() -> None:
    own = WindowMLP(20, MLPOptions(4, False, 16)).double()
    x = torch.randn(2, 20, 8, 4, dtype=torch.float64)
    full = swin_mlp(own, F.pad(x, (0, 0, 0, 0, 0, 12)), 4, 16, 0)
    torch.testing.assert_close(own(x), full[:, :20], rtol=0, atol=1e-10)


def test_a_map_smaller_than_the_window_uses_the_centre_of_its_weights() -> None:
    own = WindowMLP(16, MLPOptions(7, True, 16)).double()
    x = torch.randn(2, 16, 3, 3, dtype=torch.float64)
    centre = own.weight[0, 2:5, 2:5, 2:5, 2:5].reshape(9, 9)
    y = x.flatten(2) @ centre.T + own.bias[0, 2:5, 2:5].flatten()
    torch.testing.assert_close(own(x), y.reshape(x.shape), rtol=0, atol=1e-10)
