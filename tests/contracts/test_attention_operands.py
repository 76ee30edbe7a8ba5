"""Every attention reads what fused kernels of a GPU can read: the rules are checked without one.

PyTorch's choice of a kernel (`sdp_utils.cpp`) looks at the widths only; the kernels need aligned
distances in memory as well. With others float32 fails, and cuDNN's half precision is wrong.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from search_spaces.family import MIXERS, Family
from search_spaces.layers import attend

WIDTHS = (20, 32, 36, 48)
ENTRIES = 8  # 16 bytes in half precision


class Watch(TorchFunctionMode):
    """Collects the operands of each attention, and what the gradients of the outputs are like."""

    def __init__(self) -> None:
        super().__init__()
        self.operands: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        y = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            self.operands += [t.detach() for t in args[:3]]
            if y.requires_grad:
                y.register_hook(self.gradients.append)
        return y


def misread(t: Tensor) -> bool:
    """Whether a fused kernel for (B, heads, N, d) would fail on this layout, or misread it."""
    distances = [
        stride for size, stride in zip(t.shape[:3], t.stride()[:3], strict=True) if size > 1
    ]
    # A kernel looks at the distance of the heads even where there is one only.
    steps = [t.shape[3], t.storage_offset(), t.stride(1), *distances]
    return t.stride(3) != 1 or any(step % ENTRIES for step in steps)


def runs(family: Family, width: int) -> Watch:
    """All options of a family, of which each attends or none does."""
    watch = Watch()
    for options in family.every_options():
        x = torch.randn(2, width, 7, 9).contiguous(memory_format=torch.channels_last)
        with watch:
            y = family.module(width, options)(x)
        if not watch.operands:
            break
        y.square().sum().backward()
    return watch


@pytest.mark.parametrize("width", WIDTHS)
def test_fused_kernels_can_read_the_operands_of_every_family(width: int) -> None:
    torch.manual_seed(0)
    runs_of = {family.name: runs(family, width) for family in MIXERS}
    attending = {name: watch for name, watch in runs_of.items() if watch.operands}
    assert len(attending) >= 14
    assert {n for n, watch in attending.items() if any(map(misread, watch.operands))} == set()
    if width % ENTRIES == 0:  # elsewhere a gradient may be a part of an unaligned map's
        for name, watch in attending.items():
            # Kernels themselves copy a gradient whose channels are apart.
            slopes = [slope for slope in watch.gradients if slope.stride(3) == 1]
            assert not any(map(misread, slopes)), name


@pytest.mark.parametrize("thin", [1, 6, 16, 18])
@pytest.mark.parametrize("wide", [5, 16, 22])
def test_attention_on_parts_of_a_joint_projection_equals_its_formula(thin: int, wide: int) -> None:
    torch.manual_seed(0)
    joint = torch.randn(3, 5, 2 * thin + wide, dtype=torch.float64)
    q, k, v = torch.split(joint[:, None], [thin, thin, wide], 3)
    bias = torch.randn(5, 5, dtype=torch.float64)
    expected = (q @ k.transpose(2, 3) / thin**0.5 + bias).softmax(3) @ v
    with Watch() as watch:
        found = attend(q, k, v, bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not any(map(misread, watch.operands))
