"""MetaNeXt gives what timm's blocks give with the same weights, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nas.timm_library  # noqa: F401  (makes timm importable beside any torchvision)
from search_spaces.mixers.convolution.metanext import MetaNeXt, MetaNeXtOptions

# isort: split
from timm.models.convnext import ConvNeXtBlock
from timm.models.inception_next import MetaNeXtBlock

NAMES = {
    "conv_dw": "mix",
    "token_mixer.dwconv_hw": "mix.square",
    "token_mixer.dwconv_w": "mix.row",
    "token_mixer.dwconv_h": "mix.column",
    "norm": "norm",
    "mlp.fc1": "expand",
    "mlp.grn": "response",
    "mlp.fc2": "project",
}


def _theirs(design: str, width: int, ratio: int) -> nn.Module:
    if design == "inception":
        return MetaNeXtBlock(width, mlp_ratio=ratio, ls_init_value=0)
    v2 = design == "convnext_v2"
    return ConvNeXtBlock(width, mlp_ratio=ratio, conv_mlp=True, use_grn=v2, ls_init_value=None)


@pytest.mark.parametrize("design", ["inception", "convnext", "convnext_v2"])
@pytest.mark.parametrize(("width", "ratio"), [(20, 3), (48, 4)])
def test_metanext_equals_timms(design: str, width: int, ratio: int) -> None:
    torch.manual_seed(0)
    theirs = _theirs(design, width, ratio).double().eval()
    own = MetaNeXt(width, MetaNeXtOptions(design, ratio)).double().eval()
    wanted, state = own.state_dict(), {}
    for name, tensor in theirs.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if tensor.is_floating_point():
            (nn.init.uniform_ if kind == "running_var" else nn.init.normal_)(tensor)
        key = f"{NAMES[layer]}.{kind}"
        state[key] = tensor.reshape(wanted[key].shape)
    own.load_state_dict(state)
    x = torch.randn(2, width, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(x + own(x), theirs(x), rtol=1e-12, atol=1e-10)
