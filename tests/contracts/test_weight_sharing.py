"""Weights of a child are the right entries of the shared ones, for every family and option.

A child is compared with its extracted copy, and a family's module with the largest one whose
other entries are zero: a wrong slice (a corner instead of the centre of a kernel, another head)
gives another function. Each family says for which options this holds (`nested`). Where it does not
hold, the slices are written out by hand.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces.data_shape import DataShape
from search_spaces.definition import read_definition
from search_spaces.family import CHANNEL_MIXERS, DOWNSAMPLINGS, MIXERS, Family, Options
from search_spaces.mixers.attention.spatial_reduction import (
    SpatialReductionAttention,
    SpatialReductionOptions,
)
from search_spaces.mixers.attention.window import WindowAttention, WindowOptions
from search_spaces.mixers.convolution.inception_depthwise import (
    InceptionDepthwise,
    InceptionDepthwiseOptions,
)
from search_spaces.parts import Part, parts_of
from search_spaces.slicing import Cut, Shape, by_shape, central, leading
from search_spaces.space import SearchSpace
from supernet import Supernet
from supernet.slicing import view

WIDTHS = (20, 32, 48)
LARGEST = max(WIDTHS)
MANY = 24
"""Of a family with more options than this, every seventh is tested, which shows each value."""
CHANNEL_FAMILIES = tuple(family for family in CHANNEL_MIXERS if family.name != "none")


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
    spaces = {f"mixer {family.name}": _space(_every(family)) for family in MIXERS}
    for family in CHANNEL_FAMILIES:
        spaces[f"channel mixer {family.name}"] = _space("pool", _every(family))
    for n in DOWNSAMPLINGS.names():
        second = f"- {{width: [20, 48], depth: 1, stride: 2, downsampling: [{n}], mixers: [pool]}}"
        spaces[f"downsampling {n}"] = _space("pool", more=second)
    return spaces


SPACES = _spaces()


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_running_a_child_equals_its_extracted_copy(name: str, dtype: torch.dtype) -> None:
    space = SPACES[name]
    # A product with a weight that needs a gradient is computed by another kernel.
    supernet = Supernet(space, DataShape(2, 3), seed=1).to(dtype).requires_grad_(False)
    x = torch.randn(2, 2, 8, 8, dtype=dtype)
    codes = np.array(list(np.ndindex(*space.cardinalities)), dtype=np.int16)
    codes = codes[space.contains(codes)]
    assert len(codes) == space.size()
    with torch.no_grad():
        for code in codes:
            child = space.decode(code)
            statistics = supernet.calibrate(child, [x])
            shared = supernet(x, child, statistics or None)
            alone = supernet.extract(child, statistics).requires_grad_(False)(x)
            assert torch.isfinite(shared).all()
            if dtype == torch.float64:
                torch.testing.assert_close(shared, alone, rtol=0, atol=1e-12)
            else:
                assert torch.equal(shared, alone)


def _written_out(part: Part, name: str, weight: Tensor, shape: Shape) -> Tensor:
    """The slice of a shared weight that a child's weight of that shape is to have."""
    if part.family.cut is not by_shape:
        return view(weight, part.cut(name, tuple(weight.shape), shape))
    if len(shape) < 3:
        return weight[tuple(slice(size) for size in shape)]
    *channels, height, width = shape
    top, left = (weight.shape[-2] - height) // 2, (weight.shape[-1] - width) // 2
    window = (slice(top, top + height), slice(left, left + width))
    return weight[(*(slice(size) for size in channels), *window)]


@pytest.mark.parametrize("name", SPACES)
def test_extracted_weights_are_leading_in_channels_and_central_in_space(name: str) -> None:
    space = SPACES[name]
    supernet = Supernet(space, DataShape(2, 3), seed=1)
    shared = dict(supernet.named_parameters())
    for code in space.sample(8, np.random.default_rng(0)):
        child = space.decode(code)
        subnet = supernet.extract(child)
        parts = parts_of(child, DataShape(2, 3))
        seen = 0
        for part_name, part in parts.items():
            for own, weight in subnet.get_submodule(part_name).named_parameters():
                full = shared[f"{part_name}.{part.shared_name(own)}"]
                expected = _written_out(part, own, full, tuple(weight.shape))
                assert torch.equal(weight, expected)
                seen += 1
        assert seen == len(list(subnet.parameters()))


def _zeroed(family: Family, largest: nn.Module, child: nn.Module) -> nn.Module:
    """The largest module with every weight zero that the child does not use."""
    zeroed = copy.deepcopy(largest)
    sizes = {name: tuple(p.shape) for name, p in child.named_parameters()}
    with torch.no_grad():
        for name, weight in zeroed.named_parameters():
            kept = torch.zeros_like(weight)
            steps = family.cut(name, tuple(weight.shape), sizes[name])
            view(kept, steps).copy_(view(weight, steps))
            weight.copy_(kept)
    return zeroed


def _inherit(child: nn.Module, largest: nn.Module, family: Family | None = None) -> None:
    """Give the child the weights that it shares with the largest module."""
    rule = family.cut if family else by_shape
    full = dict(largest.named_parameters())
    with torch.no_grad():
        for name, weight in child.named_parameters():
            steps = rule(name, tuple(full[name].shape), tuple(weight.shape))
            weight.copy_(view(full[name], steps))


def _randomised(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
    return module


def _of_one_kind(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have the same weights, of whatever size."""
    return [n for n, _ in one.named_parameters()] == [n for n, _ in other.named_parameters()]


def _differs(family: Family, width: int, small: Options, large: Options) -> float:
    """How far a child is from the module of `large` and the largest width with the rest zeroed."""
    largest = _randomised(family.module(LARGEST, large).double()).eval()
    child = family.module(width, small).double().eval()
    if not _of_one_kind(child, largest):
        return float("inf")
    _inherit(child, largest, family)
    x = torch.randn(2, width, 8, 8, dtype=torch.float64)
    wide = F.pad(x, (0, 0, 0, 0, 0, LARGEST - width))
    with torch.no_grad():
        expected = F.pad(child(x), (0, 0, 0, 0, 0, LARGEST - width))
        return float((_zeroed(family, largest, child)(wide) - expected).abs().max())


def _nested_pairs(family: Family) -> Iterator[tuple[Options, Options]]:
    """Each option of a child, and those of the largest module that it is nested in.

    MBConv with expand 1 has no expansion, so it is no smaller version of another one.
    """
    every = list(family.every_options())
    for options in every[::7] if len(every) > MANY else every:
        highest = {n: family.choices()[n][-1] for n in family.nested if n != "dim"}
        large = replace(options, **highest)
        if _of_one_kind(family.module(LARGEST, options), family.module(LARGEST, large)):
            yield options, large


EVERY_FAMILY = pytest.mark.parametrize(
    "family", [*MIXERS, *CHANNEL_FAMILIES], ids=lambda family: family.name
)


@EVERY_FAMILY
def test_a_nested_child_is_the_largest_module_with_the_rest_zeroed(family: Family) -> None:
    smaller = set()
    for options, large in _nested_pairs(family):
        smaller |= {n for n in family.choices() if getattr(options, n) != getattr(large, n)}
        for width in WIDTHS if "dim" in family.nested else (LARGEST,):
            assert _differs(family, width, options, large) < 1e-12, (options, width)
    assert smaller == {n for n in family.nested if n != "dim"}


@EVERY_FAMILY
def test_what_a_family_does_not_call_nested_changes_the_function_otherwise(family: Family) -> None:
    default = family.options()
    if "dim" not in family.nested:
        assert _differs(family, WIDTHS[0], default, default) > 1e-6
    for name, values in family.choices().items():
        if name not in family.nested:
            small, large = (replace(default, **{name: values[i]}) for i in (0, -1))
            # Both ways: the most expensive value need not have the largest weight.
            assert min(_gap(family, small, large), _gap(family, large, small)) > 1e-6, name


def _gap(family: Family, small: Options, large: Options) -> float:
    try:
        return _differs(family, LARGEST, small, large)
    except ValueError:  # its weights do not fit
        return float("inf")


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
@pytest.mark.parametrize("ratio", [1, 2, 4])
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
    z = tokens = x.flatten(2).transpose(1, 2)
    if ratio > 1:
        kernel = full["reduce.weight"][:width, :width, window, window]
        z = F.conv2d(x, kernel, full["reduce.bias"][:width], ratio).flatten(2).transpose(1, 2)
        z = F.layer_norm(z, (width,), full["norm.weight"][:width], full["norm.bias"][:width], 1e-6)

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
    largest = _randomised(WindowAttention(LARGEST, WindowOptions(8, False, 16))).double()
    child = WindowAttention(32, WindowOptions(4, False, 16)).double()
    _inherit(child, largest)
    torch.testing.assert_close(child.bias, largest.bias[:2, 4:11, 4:11], rtol=0, atol=0)


class Stacked(nn.Module):
    """Two matrices in one weight, (2, C, C): the default cut takes their centres."""

    def __init__(self, dim: int, options: Options) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        first, second = self.weight
        return torch.einsum("oi,bihw->bohw", first @ second, x)


def test_a_family_cuts_a_weight_by_its_own_rule_where_the_default_is_wrong() -> None:
    def cut(name: str, largest: Shape, child: Shape) -> Cut:
        return leading(largest, child) if name == "weight" else central(largest, child)

    default = Family("stacked", Options, Stacked, "https://example.org", nested=("dim",))
    assert _differs(default, 20, Options(), Options()) > 1e-3
    assert _differs(replace(default, cut=cut), 20, Options(), Options()) < 1e-12
