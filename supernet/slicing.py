"""Weight sharing: which entries of the largest weight a smaller part uses.

The rule is read off the two shapes. In channel dimensions a part takes the leading entries; in
the trailing spatial dimensions it takes the centre window, so that a 3x3 kernel is the middle of
a 5x5 one and a small window's position bias the middle of a large one's.

    weight                           spatial dimensions
    (out, in, k, k)  convolution     2, 3
    (heads, 2w-1, 2w-1)  bias table  1, 2
    anything with fewer dimensions   none
"""

from __future__ import annotations

from torch import Tensor

Shape = tuple[int, ...]
Cut = tuple[tuple[int, int, int], ...]
"""(dimension, start, length) for each dimension in which the two shapes differ."""


def cut(largest: Shape, child: Shape) -> Cut:
    """How to cut a weight of shape `child` out of one of shape `largest`.

    Raises:
        ValueError: the child does not fit.
    """
    if len(largest) != len(child) or any(c > s for c, s in zip(child, largest, strict=False)):
        raise ValueError(f"A weight of shape {child} does not fit into one of shape {largest}.")
    spatial = len(child) - 2 if len(child) >= 3 else len(child)
    steps = []
    for dim, (full, part) in enumerate(zip(largest, child, strict=True)):
        if part < full:
            steps.append((dim, (full - part) // 2 if dim >= spatial else 0, part))
    return tuple(steps)


def view(weight: Tensor, steps: Cut) -> Tensor:
    """The view of `weight` that `cut` describes; gradients flow back into the whole."""
    for dim, start, length in steps:
        weight = weight.narrow(dim, start, length)
    return weight


def union(shapes: list[Shape]) -> Shape:
    """The smallest shape that all of `shapes` fit into."""
    return tuple(max(sizes) for sizes in zip(*shapes, strict=True))
