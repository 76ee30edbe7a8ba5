"""The initial shared weights: for each slot and family, as large as any child needs.

Families of a slot share the layers that they name as `Family.common`.

Each is the initial weight of the plain module with the options that make it largest, so that a
family's own initialisation is used in the supernet as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace

import torch
from torch import nn

from search_spaces.data_shape import DataShape
from search_spaces.family import Options
from search_spaces.parts import Part
from search_spaces.slicing import Shape
from search_spaces.space import SearchSpace
from supernet.slicing import union


def shared_weights(space: SearchSpace, data_shape: DataShape) -> dict[str, nn.Parameter]:
    """Freshly initialised shared weights by name, `slot.family.weight`.

    Those of a layer that several families have in common are named `slot.common.weight`.
    Draws from torch's global generator.
    """
    weights: dict[str, nn.Parameter] = {}
    shapes: dict[Part, dict[str, Shape]] = {}
    for slot, parts in _families(space, data_shape):
        for part in parts:
            if part not in shapes:
                shapes[part] = _shapes(part)
        wanted = _unions([shapes[part] for part in parts])
        largest = sorted(parts, key=lambda p: -sum(map(_volume, shapes[p].values())))
        for part in largest:
            missing = [n for n, s in wanted.items() if shapes[part].get(n) == s]
            missing = [n for n in missing if f"{slot}.{part.shared_name(n)}" not in weights]
            if missing:
                fresh = dict(part.build().named_parameters())
                weights |= {f"{slot}.{part.shared_name(n)}": fresh[n] for n in missing}
    return weights


def _families(space: SearchSpace, data_shape: DataShape) -> Iterator[tuple[str, list[Part]]]:
    """Each slot and family with its distinct modules, and one with the most expensive options."""
    index = space.part_index(data_shape)
    for slot in index.slots:
        by_kind: dict[str, dict[Part, None]] = defaultdict(dict)
        for i in sorted(set(slot.index.ravel().tolist())):
            part = index.parts[i]
            if part is not None and not part.again:
                by_kind[part.kind][part.module_key()] = None
        for parts in by_kind.values():
            yield slot.name, [*parts, _most_expensive(list(parts))]


def _most_expensive(parts: list[Part]) -> Part:
    """A part of the greatest width, with each option at the most expensive value among the parts.

    If a space lists options separately (kernel 5 with expand 2, kernel 3 with expand 4), no listed
    part has weights that hold all others; this one has.
    """
    first = parts[0]
    choices = first.family.choices()
    options: list[Options] = [part.choice.options for part in parts]
    highest = {
        f.name: max((getattr(o, f.name) for o in options), key=choices[f.name].index)
        for f in fields(first.choice.options)
    }
    return replace(
        first,
        choice=replace(first.choice, options=replace(first.choice.options, **highest)),
        in_dim=max(part.in_dim for part in parts),
        out_dim=max(part.out_dim for part in parts),
    )


def _shapes(part: Part) -> dict[str, Shape]:
    with torch.device("meta"):
        return {name: tuple(p.shape) for name, p in part.build().named_parameters()}


def _unions(shapes: list[dict[str, Shape]]) -> dict[str, Shape]:
    names = dict.fromkeys(name for each in shapes for name in each)
    return {name: union([each[name] for each in shapes if name in each]) for name in names}


def _volume(shape: Shape) -> int:
    return int(torch.Size(shape).numel())
