"""Every operation of every family is known to the tracer: an unknown one would count as a copy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from nas.latency.tracing.operations import unknown
from nas.latency.tracing.trace import trace
from search_spaces.architecture import Choice
from search_spaces.family import Family
from search_spaces.parts import REGISTRIES, Part

MANY = 24
"""Of a family with more options than this, every seventh is traced."""
FAMILIES = [
    (role, family)
    for role, registry in REGISTRIES.items()
    for family in registry
    if family.name != "none"
]


def parts(role: str, family: Family) -> Iterator[Part]:
    """The family's parts with all of its options, or a share of many."""
    options = list(family.every_options())
    for each in options[::7] if len(options) > MANY else options:
        stride = getattr(each, "stride", 2 if role == "downsampling" else 1)
        in_dim, out_dim = 3 if role == "stem" else 48, 10 if role == "head" else 48
        yield Part(role, Choice(family.name, each), in_dim, out_dim, 16, stride, "layer")


def unknown_in(module: nn.Module, shape: tuple[int, ...]) -> tuple[str, ...]:
    operations = trace(module, shape, precision="amp")
    assert operations or not list(module.parameters())
    return unknown(operations)


@pytest.mark.parametrize(("role", "family"), FAMILIES, ids=lambda x: getattr(x, "name", x))
def test_every_operation_of_a_family_is_known(role: str, family: Family) -> None:
    for part in parts(role, family):
        assert unknown_in(part.build().eval(), part.input_shape(2)) == (), part


class Renormalised(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.renorm(x, 2, 0, 1.0)


def test_an_operation_that_the_tracer_does_not_know_is_found() -> None:
    assert unknown_in(Renormalised(), (2, 3, 8, 8)) == ("aten.renorm",)
