"""Weights of a child are the right entries of the shared ones, for every family and option.

A child is compared with its extracted copy, and a family's module with the largest one whose
other entries are zero: a wrong slice (a corner instead of the centre of a kernel, another head)
gives another function. Where zeros do not stay zero the slices are written out by hand.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.definition import read_definition
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, MIXERS, STEMS, Family
from search_spaces.mixers.attention.spatial_reduction import (
    SpatialReductionAttention,
    SpatialReductionOptions,
)
from search_spaces.mixers.convolution.inception_depthwise import (
    InceptionDepthwise,
    InceptionDepthwiseOptions,
)
from search_spaces.parts import parts_of
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.slicing import cut, view

WIDTHS = (20, 32, 48)
LARGEST = max(WIDTHS)
MIXER_FAMILIES = MIXERS.names()
CHANNEL_FAMILIES = tuple(name for name in CHANNEL_MIXERS.names() if name != "none")

WITHIN = {
    "depthwise": ("kernel",),
    "linear": ("kernel",),
    "mbconv": ("kernel", "expand"),
    "mlp": ("ratio",),
    "depthwise_mlp": ("ratio",),
    "glu": ("ratio",),
    "conv_glu": ("ratio",),
}
"""Options whose smaller values are the larger ones with zeros around."""


def _space(mixers: str, channel_mixers: str = "none", more: str = "") -> SearchSpace:
    text = f"""
schema: 1
name: one-stage
resolution: 8
stem: [conv: {{stride: 1}}]
stages:
- {{width: [20, 32, 48], depth: 1, mixers: [{mixers}], channel_mixers: [{channel_mixers}]}}
{more}
"""
    return SearchSpace(read_definition(text, "test"))


def _every(family: Family) -> str:
    """The family with all values of all its options, as a space's file lists it."""
    return json.dumps({family.name: family.choices()}) if family.choices() else family.name


def _spaces() -> dict[str, SearchSpace]:
    spaces = {f"mixer {n}": _space(_every(MIXERS[n])) for n in MIXER_FAMILIES}
    for n in CHANNEL_FAMILIES:
        spaces[f"channel mixer {n}"] = _space("pool", _every(CHANNEL_MIXERS[n]))
    for n in DOWNSAMPLINGS.names():
        second = f"- {{width: [20, 48], depth: 1, stride: 2, downsampling: [{n}], mixers: [pool]}}"
        spaces[f"downsampling {n}"] = _space("pool", more=second)
    return spaces


SPACES = _spaces()


def test_every_family_is_covered() -> None:
    assert len(MIXER_FAMILIES) == 11
    assert len(CHANNEL_FAMILIES) == 4
    assert len(DOWNSAMPLINGS) == 3
    assert len(STEMS) == 3
    assert len(SPACES) == 18


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_running_a_child_equals_its_extracted_copy(name: str, dtype: torch.dtype) -> None:
    space = SPACES[name]
    supernet = Supernet(space, in_channels=2, num_classes=3, seed=1).to(dtype)
    x = torch.randn(2, 2, 8, 8, dtype=dtype)
    codes = np.array(list(np.ndindex(*space.cardinalities)), dtype=np.int16)
    codes = codes[space.contains(codes)]
    assert len(codes) == space.size()
    with torch.no_grad():
        for code in codes:
            child = space.decode(code)
            statistics = supernet.calibrate(child, [x])
            shared = supernet(x, child, statistics or None)
            alone = supernet.extract(child, statistics)(x)
            assert torch.isfinite(shared).all()
            if dtype == torch.float64:
                torch.testing.assert_close(shared, alone, rtol=0, atol=1e-12)
            else:
                assert torch.equal(shared, alone)


def _written_out(weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The slice of a shared weight that a child of that shape is to have."""
    if len(shape) < 3:
        return weight[tuple(slice(size) for size in shape)]
    *channels, height, width = shape
    top, left = (weight.shape[-2] - height) // 2, (weight.shape[-1] - width) // 2
    window = (slice(top, top + height), slice(left, left + width))
    return weight[(*(slice(size) for size in channels), *window)]


@pytest.mark.parametrize("name", SPACES)
def test_extracted_weights_are_leading_in_channels_and_central_in_space(name: str) -> None:
    space = SPACES[name]
    supernet = Supernet(space, in_channels=2, num_classes=3, seed=1)
    shared = dict(supernet.named_parameters())
    for code in space.sample(8, np.random.default_rng(0)):
        child = space.decode(code)
        subnet = supernet.extract(child)
        parts = parts_of(child, 2, 3)
        seen = 0
        for part_name, part in parts.items():
            for own, weight in subnet.get_submodule(part_name).named_parameters():
                full = shared[f"{part_name}.{part.kind}.{own}"]
                assert torch.equal(weight, _written_out(full, tuple(weight.shape)))
                seen += 1
        assert seen == len(list(subnet.parameters()))


def _zeroed(largest: nn.Module, child: nn.Module) -> nn.Module:
    """The largest module with every weight zero that the child does not use."""
    zeroed = copy.deepcopy(largest)
    sizes = {name: tuple(p.shape) for name, p in child.named_parameters()}
    with torch.no_grad():
        for name, weight in zeroed.named_parameters():
            kept = torch.zeros_like(weight)
            if name in sizes:
                steps = cut(tuple(weight.shape), sizes[name])
                view(kept, steps).copy_(view(weight, steps))
            weight.copy_(kept)
    return zeroed


def _inherit(child: nn.Module, largest: nn.Module) -> None:
    full = dict(largest.named_parameters())
    with torch.no_grad():
        for name, weight in child.named_parameters():
            weight.copy_(view(full[name], cut(tuple(full[name].shape), tuple(weight.shape))))


def _randomised(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
    return module


def _stays_zero(family: Family, options: object) -> bool:
    if family.name == "inception_depthwise":
        return False  # which channels a branch filters depends on the width
    return family.name != "spatial_reduction" or getattr(options, "ratio", 1) == 1  # layer norm


def _pairs(family: Family) -> list[tuple[object, object]]:
    """Each option of a child with the options of a larger module that contains it."""
    pairs: list[tuple[object, object]] = []
    for options in family.every_options():
        if not _stays_zero(family, options):
            continue
        dearest = {
            name: family.choices()[name][-1]
            for name in WITHIN.get(family.name, ())
            if not (name == "expand" and getattr(options, name) == 1)
        }
        pairs.append((options, replace(options, **dearest)))
    return pairs


@pytest.mark.parametrize(
    "family", [*MIXERS, *(CHANNEL_MIXERS[n] for n in CHANNEL_FAMILIES)], ids=lambda f: f.name
)
def test_a_child_is_the_largest_module_with_the_rest_zeroed(family: Family) -> None:
    for options, dearest in _pairs(family):
        largest = _randomised(family.module(LARGEST, dearest).double()).eval()
        for width in WIDTHS:
            child = family.module(width, options).double().eval()
            _inherit(child, largest)
            x = torch.randn(2, width, 8, 8, dtype=torch.float64)
            wide = F.pad(x, (0, 0, 0, 0, 0, LARGEST - width))
            with torch.no_grad():
                small, large = child(x), _zeroed(largest, child)(wide)
            torch.testing.assert_close(large[:, :width], small, rtol=0, atol=1e-12)
            assert large[:, width:].abs().max() == 0 if width < LARGEST else True


@pytest.mark.parametrize("width", WIDTHS)
def test_inception_branches_take_leading_channels_and_central_kernels(width: int) -> None:
    largest = _randomised(InceptionDepthwise(LARGEST, InceptionDepthwiseOptions(5, 11))).double()
    child = InceptionDepthwise(width, InceptionDepthwiseOptions(3, 7)).double()
    _inherit(child, largest)
    branch = max(1, width // 8)
    weights = dict(largest.named_parameters())
    x = torch.randn(2, width, 9, 9, dtype=torch.float64)

    def conv(name: str, kernel: Tensor, start: int, padding: tuple[int, int]) -> Tensor:
        part = x[:, start : start + branch]
        return F.conv2d(part, kernel, weights[f"{name}.bias"][:branch], 1, padding, groups=branch)

    same = width - 3 * branch
    expected = [
        x[:, :same],
        conv("square", weights["square.weight"][:branch, :, 1:4, 1:4], same, (1, 1)),
        conv("row", weights["row.weight"][:branch, :, :, 2:9], same + branch, (0, 3)),
        conv("column", weights["column.weight"][:branch, :, 2:9], same + 2 * branch, (3, 0)),
    ]
    torch.testing.assert_close(child(x), torch.cat(expected, dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("ratio", [2, 4])
def test_spatial_reduction_takes_leading_channels_and_the_central_kernel(
    width: int, ratio: int
) -> None:
    largest = _randomised(
        SpatialReductionAttention(LARGEST, SpatialReductionOptions(8, 16))
    ).double()
    child = SpatialReductionAttention(width, SpatialReductionOptions(ratio, 16)).double()
    _inherit(child, largest)
    full = dict(largest.named_parameters())
    heads, start = max(1, width // 16), (8 - ratio) // 2
    inner, window = heads * 16, slice(start, start + ratio)
    x = torch.randn(2, width, 8, 8, dtype=torch.float64)
    kernel = full["reduce.weight"][:width, :width, window, window]
    z = F.conv2d(x, kernel, full["reduce.bias"][:width], ratio).flatten(2).transpose(1, 2)
    z = F.layer_norm(z, (width,), full["norm.weight"][:width], full["norm.bias"][:width], 1e-6)
    tokens = x.flatten(2).transpose(1, 2)

    def project(name: str, t: Tensor) -> Tensor:
        out = F.linear(t, full[f"{name}.weight"][:inner, :width], full[f"{name}.bias"][:inner])
        return out.reshape(2, -1, heads, 16).transpose(1, 2)

    q, k, v = project("q", tokens), project("k", z), project("v", z)
    y = (q @ k.transpose(2, 3) / 4).softmax(-1) @ v
    y = y.transpose(1, 2).reshape(2, 64, inner)
    y = F.linear(y, full["project.weight"][:width, :inner], full["project.bias"][:width])
    expected = y.transpose(1, 2).reshape(2, width, 8, 8)
    torch.testing.assert_close(child(x), expected, rtol=0, atol=1e-12)


def test_a_small_window_takes_the_centre_of_the_bias_table() -> None:
    from search_spaces.mixers.attention.window import WindowAttention, WindowOptions

    largest = _randomised(WindowAttention(LARGEST, WindowOptions(8, False, 16))).double()
    child = WindowAttention(32, WindowOptions(4, False, 16)).double()
    _inherit(child, largest)
    torch.testing.assert_close(child.bias, largest.bias[:2, 4:11, 4:11], rtol=0, atol=0)
