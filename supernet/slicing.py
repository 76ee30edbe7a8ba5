"""Views of shared weights; `search_spaces.slicing` decides the entries that a part uses."""

from __future__ import annotations

from torch import Tensor

from search_spaces.slicing import Cut, Shape


def view(weight: Tensor, cut: Cut) -> Tensor:
    """The view of `weight` that a cut describes; gradients flow back into `weight`."""
    for dim, start, length in cut:
        weight = weight.narrow(dim, start, length)
    return weight


def union(shapes: list[Shape]) -> Shape:
    """The smallest shape that all of `shapes` fit into."""
    return tuple(max(sizes) for sizes in zip(*shapes, strict=True))
