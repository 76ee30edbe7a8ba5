"""The entries of a shared weight that a smaller part uses.

The default rule needs the two shapes only. In channel dimensions a part takes the leading
entries; in the trailing spatial dimensions it takes the centre window, so that a 3x3 kernel is the
middle of a 5x5 one and a small window's position bias the middle of a large one's.

    weight                           spatial dimensions
    (out, in, k, k)  convolution     2, 3
    (heads, 2w-1, 2w-1)  bias table  1, 2
    anything with fewer dimensions   none

A family with a weight of another kind, such as one matrix for each group, (groups, out, in), has a
rule of its own:

    def _cut(name: str, largest: Shape, child: Shape) -> Cut:
        return leading(largest, child) if name == "weight" else central(largest, child)
"""

from __future__ import annotations

from collections.abc import Callable

Shape = tuple[int, ...]
Cut = tuple[tuple[int, int, int], ...]
"""(dimension, start, length) for each dimension in which the two shapes differ."""
CutRule = Callable[[str, Shape, Shape], Cut]
"""(a weight's name in its module, its largest shape, the child's shape) to the cut."""


def leading(largest: Shape, child: Shape) -> Cut:
    """The leading entries in every dimension.

    Raises:
        ValueError: the child does not fit.
    """
    return _cut(largest, child, spatial=len(child))


def central(largest: Shape, child: Shape) -> Cut:
    """The centre window in the last two of three or more dimensions, else the leading entries.

    Raises:
        ValueError: the child does not fit.
    """
    return _cut(largest, child, spatial=len(child) - 2 if len(child) >= 3 else len(child))


def by_shape(name: str, largest: Shape, child: Shape) -> Cut:
    """The default rule of a family: `central` for every weight."""
    return central(largest, child)


def _cut(largest: Shape, child: Shape, spatial: int) -> Cut:
    """Leading entries in the dimensions before `spatial`, the centre window in the others."""
    if len(largest) != len(child) or any(c > s for c, s in zip(child, largest, strict=False)):
        raise ValueError(f"A weight of shape {child} does not fit into one of shape {largest}.")
    steps = []
    for dim, (full, part) in enumerate(zip(largest, child, strict=True)):
        if part < full:
            steps.append((dim, (full - part) // 2 if dim >= spatial else 0, part))
    return tuple(steps)
