"""SepConv gives what timm's gives with the same weights, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.convolution.sepconv import SepConv, SepConvOptions

# isort: split
from timm.models.metaformer import SepConv as TimmSepConv


@pytest.mark.parametrize("width", [20, 48])
@pytest.mark.parametrize(("kernel", "expand"), [(3, 1), (5, 2), (7, 2)])
def test_sepconv_equals_timms(width: int, kernel: int, expand: int) -> None:
    torch.manual_seed(0)
    theirs = TimmSepConv(width, expand, kernel_size=kernel, padding=kernel // 2).double()
    own = SepConv(width, SepConvOptions(kernel, expand)).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    own.load_state_dict(
        {
            "expand.weight": theirs.pwconv1.weight[:, :, 0, 0],
            "activation.scale": theirs.act1.scale,
            "activation.bias": theirs.act1.bias,
            "depthwise.weight": theirs.dwconv.weight,
            "project.weight": theirs.pwconv2.weight[:, :, 0, 0],
        }
    )
    x = torch.randn(2, width, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(own(x), theirs(x), rtol=0, atol=1e-10)
