"""Swin Transformer: attention within windows, which every second block shifts.

    patches -> stages of (window attention -> MLP), merged 2 x 2 in between -> mean -> classifier

Paper: Swin Transformer, Liu et al. 2021, https://arxiv.org/abs/2103.14030
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from search_spaces.architecture import Architecture, Block, Choice, Stage
from search_spaces.channel_mixers import RatioOptions
from search_spaces.downsampling import DownsamplingOptions
from search_spaces.heads import LinearHeadOptions
from search_spaces.mixers.attention.window import WindowOptions
from search_spaces.published import PUBLISHED, Naming, Published, State
from search_spaces.stems import PatchifyOptions

_WINDOW = 7


def _network(resolution: int, width: int, depths: tuple[int, ...]) -> Architecture:
    def block(number: int) -> Block:
        attention = WindowOptions(_WINDOW, shifted=number % 2 == 1, head_dim=32)
        return Block(Choice("window", attention), Choice("mlp", RatioOptions(4.0)))

    stages = []
    for i, depth in enumerate(depths):
        down = Choice("merge", DownsamplingOptions()) if i else None
        blocks = tuple(map(block, range(depth)))
        stages.append(Stage(width << i, 2 if i else 1, "metaformer", down, blocks, branch="plain"))
    return Architecture(
        resolution=resolution,
        norm="layer-1e-5",
        stem=Choice("patchify", PatchifyOptions(stride=4)),
        stem_width=width,
        stages=tuple(stages),
        head=Choice("linear", LinearHeadOptions()),
    )


def _naming(architecture: Architecture) -> Naming:
    """Layers of timm's `swin_transformer.py`, with queries, keys and values apart."""
    yield from (("stem.body.conv", "patch_embed.proj"), ("stem.body.norm", "patch_embed.norm"))
    for i, stage in enumerate(architecture.stages):
        if i:
            yield f"stages.{i}.downsampling.body.norm", f"layers.{i}.downsample.norm"
            yield f"stages.{i}.downsampling.body.project", f"layers.{i}.downsample.reduction"
        for j in range(len(stage.blocks)):
            ours, theirs = f"stages.{i}.blocks.{j}", f"layers.{i}.blocks.{j}"
            yield f"{ours}.mixer.norm", f"{theirs}.norm1"
            for own, other in (("q", "q"), ("k", "k"), ("v", "v"), ("project", "proj")):
                yield f"{ours}.mixer.body.{own}", f"{theirs}.attn.{other}"
            yield f"{ours}.mixer.body.bias", f"{theirs}.attn.relative_position_bias_table"
            yield f"{ours}.channel_mixer.norm", f"{theirs}.norm2"
            for own, other in (("expand", "fc1"), ("project", "fc2")):
                yield f"{ours}.channel_mixer.body.{own}", f"{theirs}.mlp.{other}"
    yield from (("head.body.norm", "norm"), ("head.body.classifier", "head.fc"))


def _split(state: State) -> State:
    """Our layout of what timm keeps in another one.

    Queries, keys and values are one layer there; the bias table is flat, its heads last; and the
    four positions that are merged stand before the channels, column by column.
    """
    parts = dict[str, Tensor]()
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            for own, part in zip("qkv", tensor.chunk(3), strict=True):
                parts[name.replace(".qkv.", f".{own}.")] = part
        elif name.endswith("relative_position_bias_table"):
            offsets = 2 * _WINDOW - 1
            parts[name] = tensor.T.reshape(-1, offsets, offsets)
        elif ".downsample." in name:  # (..., columns, rows, C) to (..., C, rows, columns)
            four = torch.unflatten(tensor, -1, (2, 2, -1))
            parts[name] = four.transpose(-3, -1).flatten(-3)
        else:
            parts[name] = tensor
    return parts


for _name, _depths in (
    ("swin_tiny_patch4_window7_224", (2, 2, 6, 2)),
    ("swin_small_patch4_window7_224", (2, 2, 18, 2)),
):
    PUBLISHED.register(
        Published(
            _name,
            partial(_network, width=96, depths=_depths),
            _naming,
            resolution=224,
            paper="https://arxiv.org/abs/2103.14030",
            split=_split,
        )
    )
